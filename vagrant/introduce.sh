#!/bin/sh
# Runs in a machine of a plain `vagrant up`: introduce.sh NAME OPERATOR-KEY MAC,CARD,ADDRESS[,ROUTER] …
# Gives the cards their names and addresses, and telekit's operator the account that `telekit trust` would make.
set -eu
name=$1 key=$2
shift 2
[ -n "$key" ] || { echo "no SSH key for the operator: set TELEKIT_OPERATOR_KEY to a public key's file, or run ssh-keygen" >&2; exit 2; }

useradd --create-home --shell /bin/bash telekit 2>/dev/null || true
install -d -m 700 -o telekit -g telekit /home/telekit/.ssh
printf '%s\n' "$key" > /home/telekit/.ssh/authorized_keys
chown telekit: /home/telekit/.ssh/authorized_keys
echo 'telekit ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/telekit
chmod 440 /etc/sudoers.d/telekit

# systemd-networkd, whatever the box has for its own card: it leaves every other card alone.
rm -f /etc/systemd/network/50-telekit-*
for card in "$@"; do
  mac=$(echo "${card%%,*}" | sed 's/../&:/g; s/:$//')
  rest=${card#*,}
  device=${rest%%,*}
  address=${rest#*,}
  printf '[Match]\nMACAddress=%s\n[Link]\nName=%s\n' "$mac" "$device" > "/etc/systemd/network/50-telekit-$device.link"
  {
    printf '[Match]\nMACAddress=%s\n[Network]\nIPv6AcceptRA=no\n' "$mac"
    if [ "$address" = dhcp ]; then
      # The way out is Vagrant's card; only the rest of this town is reached through the home's router.
      printf 'DHCP=ipv4\n[DHCPv4]\nUseRoutes=no\nUseGateway=no\n[Route]\nDestination=198.18.0.0/24\nGateway=192.168.1.1\nGatewayOnLink=yes\n'
    else
      printf 'Address=%s\n' "$address"
    fi
  } > "/etc/systemd/network/50-telekit-$device.network"
  for found in /sys/class/net/*; do
    [ "$(cat "$found/address")" = "$mac" ] || continue
    ip link set "${found##*/}" down
    [ "${found##*/}" = "$device" ] || ip link set "${found##*/}" name "$device"
  done
done
systemctl enable --quiet systemd-networkd
systemctl mask --quiet systemd-networkd-wait-online.service
systemctl restart systemd-networkd

# The names that only this town knows.
sed -i '/telekit town$/d' /etc/hosts
case $name in
  portable-*) printf '198.18.0.2 vpn.lab.example # telekit town\n198.18.0.20 mirror.lab.example # telekit town\n' >> /etc/hosts ;;
esac
