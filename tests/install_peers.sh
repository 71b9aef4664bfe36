#!/usr/bin/env bash
# Installs the foreign programs that some tests let speak to the controller and that no Python lock can bring:
#   mbpoll              Modbus master in C (system package)
#   modbus-serial       Modbus master in JavaScript (npm, into tests/peers/node_modules)
#   node-opcua-client   OPC UA client in JavaScript (npm, the same)
# Tolerant: what cannot be had here is named, its tests skip by name, and the exit code is 0. Quick when all is there.
set -u
cd "$(dirname "$0")/peers" || exit 1

missing() { echo "peer missing: $1 ($2)"; }
have() { command -v "$1" >/dev/null 2>&1; }

# $1 command, $2 Debian package
from_system() {
  have "$1" && return
  have apt-get || { missing "$1" "no apt-get here; install package '$2' by hand"; return; }
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || { missing "$1" "not root; install package '$2' by hand"; return; }
    root=(sudo -n)
  fi
  # `${root[@]+...}`: an empty array is unset to older shells under `set -u`.
  local install=(${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive timeout 300 apt-get)
  "${install[@]}" install -y -q --no-install-recommends "$2" >/dev/null 2>&1 ||
    { "${install[@]}" update -q >/dev/null 2>&1 &&
      "${install[@]}" install -y -q --no-install-recommends "$2" >/dev/null 2>&1; } ||
    missing "$1" "apt-get could not install package '$2'"
}

from_npm() {
  cmp -s package.json node_modules/.installed && return
  have npm || { missing "modbus-serial, node-opcua-client" "no npm here"; return; }
  if timeout 300 npm install --no-package-lock --no-audit --no-fund --loglevel=error >/dev/null 2>&1; then
    cp package.json node_modules/.installed
  else
    missing "modbus-serial, node-opcua-client" "npm could not install them"
  fi
}

from_system mbpoll mbpoll
from_npm
exit 0
