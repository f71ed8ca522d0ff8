#!/bin/sh
# Builds a package for SSM Distributor from the .deb and .rpm packages of one version: one archive
# for each package, and a manifest that lists them by system and architecture.
#   distributor.sh FOLDER PACKAGE..
set -eu
folder=${1:?usage: distributor.sh FOLDER PACKAGE..}
shift
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

platforms='' files='' version=''
for package; do
    file=${package##*/}
    case $file in
    *_amd64.deb) architecture=x86_64 systems='debian ubuntu' ;;
    *_arm64.deb) architecture=arm64 systems='debian ubuntu' ;;
    *.x86_64.rpm) architecture=x86_64 systems='amazon redhat' ;;
    *.aarch64.rpm) architecture=arm64 systems='amazon redhat' ;;
    *)
        echo "distributor.sh: $package is not a linkproof package" >&2
        exit 64
        ;;
    esac
    case $file in
    *.deb)
        version=$(echo "$file" | sed 's/linkproof_\([^-]*\)-.*/\1/')
        install="dpkg --install $file" uninstall='dpkg --purge linkproof'
        ;;
    *.rpm)
        version=$(echo "$file" | sed 's/linkproof-\([^-]*\)-.*/\1/')
        install="rpm --upgrade --replacepkgs $file && systemctl enable --now linkproof.service"
        uninstall='rpm --erase linkproof'
        ;;
    esac
    mkdir -p "$work/$file"
    cp "$package" "$work/$file/"
    printf '#!/bin/sh\nset -e\n%s\n' "$install" >"$work/$file/install.sh"
    printf '#!/bin/sh\nset -e\n%s\n' "$uninstall" >"$work/$file/uninstall.sh"
    rm -f "$folder/$file.zip"
    (cd "$work/$file" && python3 -m zipfile -c "$work/$file.zip" "$file" install.sh uninstall.sh)
    mv "$work/$file.zip" "$folder/"
    sum=$(sha256sum "$folder/$file.zip" | cut -d ' ' -f 1)
    for system in $systems; do
        echo "$system $architecture $file.zip" >>"$work/platforms"
    done
    files="$files${files:+, }\"$file.zip\": {\"checksums\": {\"sha256\": \"$sum\"}}"
done

for system in amazon debian redhat ubuntu; do
    grep -q "^$system " "$work/platforms" || continue
    architectures=$(sed -n "s/^$system \(.*\) \(.*\)/\"\1\": {\"file\": \"\2\"}, /p" "$work/platforms" | tr -d '\n')
    platforms="$platforms${platforms:+, }\"$system\": {\"_any\": {${architectures%, }}}"
done
printf '{"schemaVersion": "2.0", "version": "%s", "packages": {%s}, "files": {%s}}\n' \
    "$version" "$platforms" "$files" >"$folder/manifest.json"
