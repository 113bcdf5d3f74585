"""A stand-in for elasticsearch-certutil (and unzip): the flags that we use, and zip files with the real layout.

The layout is that of CertificateTool.java in elastic/elasticsearch: ca/ca.{crt,key}, and NAME/NAME.{crt,key}.
"""

import argparse
import sys
import zipfile
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    made.add_argument("mode", choices=["ca", "cert"])
    made.add_argument("--silent", action="store_true", required=True)
    made.add_argument("--pem", action="store_true", required=True)
    made.add_argument("--days", type=int, required=True)
    made.add_argument("--out", type=Path, required=True)
    for flag in ("--name", "--dns", "--ip"):
        made.add_argument(flag)
    for flag in ("--ca-cert", "--ca-key"):
        made.add_argument(flag, type=Path)
    return made


def unzip(words: list[str]) -> None:
    quiet, archive, into, folder = words
    if (quiet, into) != ("-q", "-d"):
        sys.exit(f"unzip: unknown arguments {words}")
    zipfile.ZipFile(archive).extractall(folder)


def main(words: list[str]) -> None:
    options = parser().parse_args(words)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, options.name or "Elastic Certificate Tool")])
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder(subject_name=subject, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=options.days))
        .add_extension(x509.BasicConstraints(ca=options.mode == "ca", path_length=None), critical=True)
    )
    if options.mode == "ca":
        certificate, entry = builder.issuer_name(subject).sign(key, hashes.SHA256()), "ca/ca"
    else:
        authority = x509.load_pem_x509_certificate(options.ca_cert.read_bytes())
        signing_key = serialization.load_pem_private_key(options.ca_key.read_bytes(), password=None)
        names = [x509.DNSName(name) for name in options.dns.split(",")]
        names += [x509.IPAddress(ip_address(address)) for address in options.ip.split(",")]
        builder = builder.issuer_name(authority.subject).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        certificate, entry = builder.sign(signing_key, hashes.SHA256()), f"{options.name}/{options.name}"
    with zipfile.ZipFile(options.out, "x") as archive:
        archive.writestr(f"{entry}.crt", certificate.public_bytes(serialization.Encoding.PEM))
        private = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL)
        archive.writestr(f"{entry}.key", key.private_bytes(*private, serialization.NoEncryption()))


if __name__ == "__main__":
    unzip(sys.argv[2:]) if sys.argv[1] == "unzip" else main(sys.argv[1:])
