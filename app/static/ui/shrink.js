// Photos that are too large to be sent together are shrunk first. The server would shrink them to the same size.

/** Return the photos, each shrunk so that its short side has `shortSide` pixels. */
export async function shrinkPhotos(files, shortSide) {
  const carried = new DataTransfer();
  for (const file of files) carried.items.add(await shrinkPhoto(file, shortSide)); // one after another, because a photo may take much memory
  return carried.files;
}

async function shrinkPhoto(file, shortSide) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return file; // the server may read a format that the browser cannot
  }
  const scale = Math.min(1, shortSide / Math.min(picture.width, picture.height));
  const canvas = new OffscreenCanvas(Math.ceil(picture.width * scale), Math.ceil(picture.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // a JPEG has no transparency, and the server puts photos on white as well
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
  return new File([blob], file.name, { type: blob.type });
}
