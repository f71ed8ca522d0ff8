#!/bin/sh
# Installs linkproof from a package file, starts it, and proves the subnet: the exit code is that of
# `linkproof --once`, so whatever runs this stops where the subnet is not what it should be.
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

# Endpoints, private DNS and the role take minutes to be in force.
exec linkproof --once --wait 5m "$@"
