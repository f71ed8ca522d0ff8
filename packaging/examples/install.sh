#!/bin/sh
# Installs linkproof from a package file, starts it, and verifies the subnet. Exits with the exit code
# of `linkproof --once`, so the calling script can stop if the verification fails.
#   install.sh PACKAGE [OPTIONS OF linkproof --once]
set -eu
package=${1:?usage: install.sh PACKAGE [OPTIONS]}
shift

case $package in
*.deb) dpkg --install "$package" ;;
*.rpm) rpm --upgrade --replacepkgs "$package" ;;
*)
    echo "install.sh: $package is neither a .deb nor a .rpm" >&2
    exit 64
    ;;
esac
systemctl enable --now linkproof.service

# Changes to endpoints, private DNS and roles take minutes to apply.
exec linkproof --once --wait 5m "$@"
