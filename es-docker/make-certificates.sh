#!/bin/sh
# Makes a certificate authority once, and the server's certificate anew whenever its names change, in the folder given.
# Runs as root in the Elasticsearch image, which brings elasticsearch-certutil and unzip. Ten years for both: nothing
# renews them here, and an expired one would stop the search. To start over: docker compose down, then remove the volume.
set -eu
folder=$1
days=3650
names=elasticsearch,localhost,host.docker.internal${CERT_NAMES:+,$CERT_NAMES}
addresses=127.0.0.1${CERT_IPS:+,$CERT_IPS}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 077

if ! [ -f "$folder/ca/ca.key" ]; then
    echo "Making a certificate authority"
    elasticsearch-certutil ca --silent --pem --days "$days" --out "$work/ca.zip"
    unzip -q "$work/ca.zip" -d "$work"
    mkdir -p "$folder/ca"
    mv "$work/ca/ca.crt" "$folder/ca/ca.crt"
    # Only root reads the key; everybody may read the certificate, which clients need a copy of.
    chmod 644 "$folder/ca/ca.crt"
    rm -rf "$folder/elasticsearch"
    mv "$work/ca/ca.key" "$folder/ca/ca.key"
fi

if [ "$(cat "$folder/elasticsearch/names" 2>/dev/null)" != "$names,$addresses" ]; then
    echo "Making a certificate for $names,$addresses"
    elasticsearch-certutil cert --silent --pem --days "$days" --out "$work/server.zip" --name elasticsearch \
        --dns "$names" --ip "$addresses" --ca-cert "$folder/ca/ca.crt" --ca-key "$folder/ca/ca.key"
    unzip -q "$work/server.zip" -d "$work"
    mkdir -p "$folder/elasticsearch"
    # Elasticsearch's user is of group 0, which therefore reads the key; a running node takes up new files by itself.
    chmod 640 "$work/elasticsearch/elasticsearch.key"
    chmod 644 "$work/elasticsearch/elasticsearch.crt"
    mv "$work/elasticsearch/elasticsearch.key" "$work/elasticsearch/elasticsearch.crt" "$folder/elasticsearch/"
    echo "$names,$addresses" >"$folder/elasticsearch/names"
fi

chmod 755 "$folder" "$folder/ca" "$folder/elasticsearch"
echo "Certificates are in place"
