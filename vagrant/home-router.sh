#!/bin/sh
# Runs in the machine `maison` of a plain `vagrant up`. It is the home's router (NAT, DHCP, names) and, since no town hall is
# without servers, it also plays the mirror of the antivirus signatures and, on the LAN, the names and the applications.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends dnsmasq-base nftables python3 > /dev/null

cat > /etc/nftables.conf <<'RULES'
flush ruleset
table ip box {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "in0" oifname "wan0" accept
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan0" masquerade
  }
}
RULES
systemctl enable --quiet nftables
systemctl restart nftables
echo 'net.ipv4.ip_forward = 1' > /etc/sysctl.d/50-telekit-town.conf
sysctl -q -p /etc/sysctl.d/50-telekit-town.conf

cat > /etc/dnsmasq-home.conf <<'CONF'
interface=in0
bind-interfaces
dhcp-range=192.168.1.100,192.168.1.199,12h
dhcp-option=option:router
dhcp-authoritative
host-record=vpn.lab.example,198.18.0.2
host-record=mirror.lab.example,198.18.0.20
CONF
cat > /etc/dnsmasq-town.conf <<'CONF'
interface=lan0
bind-interfaces
local=/lab.example/
host-record=vpn.lab.example,198.18.0.2
host-record=mirror.lab.example,198.18.0.20
host-record=gw-mairie.lab.example,10.77.0.1
host-record=bureau-finances-03.lab.example,10.77.2.21
host-record=finances.lab.example,10.77.1.11
host-record=messagerie.lab.example,10.77.1.12
host-record=etat-civil.lab.example,10.77.1.13
CONF
cat > /usr/local/bin/town-servers <<'PYTHON'
#!/usr/bin/python3
"""The applications of inventories/vagrant: each says who it is and who asked, then sends back what it gets."""
import http.server, json, socketserver, threading

APPLICATIONS = {"finances": ("10.77.1.11", [443, 1521], []), "messagerie": ("10.77.1.12", [443, 993], []),
                "etat-civil": ("10.77.1.13", [8443], [5000])}
SIGNATURES = b"44d88612fea8a8f36de82e1278abb02f:68:Lab.Eicar\n"


def said(name, client):
    return json.dumps({"application": name, "client": client}).encode() + b"\n"


def tcp(name):
    class Answer(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(said(name, self.client_address[0]))
            while data := self.request.recv(4096):
                self.request.sendall(data)
    return Answer


def udp(name):
    class Answer(socketserver.BaseRequestHandler):
        def handle(self):
            self.request[1].sendto(said(name, self.client_address[0]), self.client_address)
    return Answer


class Mirror(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/lab.hdb"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(SIGNATURES) if found else 0))
        self.end_headers()
        self.wfile.write(SIGNATURES if found else b"")


socketserver.ThreadingTCPServer.allow_reuse_address = True
servers = [http.server.ThreadingHTTPServer(("198.18.0.20", 80), Mirror)]
for name, (address, tcp_ports, udp_ports) in APPLICATIONS.items():
    servers += [socketserver.ThreadingTCPServer((address, port), tcp(name)) for port in tcp_ports]
    servers += [socketserver.ThreadingUDPServer((address, port), udp(name)) for port in udp_ports]
for server in servers:
    threading.Thread(target=server.serve_forever).start()
PYTHON
chmod 755 /usr/local/bin/town-servers

unit() {
  printf '[Unit]\nAfter=systemd-networkd.service\n[Service]\n%s\nExecStart=%s\nRestart=on-failure\nRestartSec=2\n[Install]\nWantedBy=multi-user.target\n' \
    "$3" "$2" > "/etc/systemd/system/$1.service"
}
unit town-addresses "/bin/sh -c 'for a in 10.77.1.11 10.77.1.12 10.77.1.13; do ip address replace \$a/20 dev lan0; done; ip address replace 198.18.0.20/24 dev wan0; ip route replace 10.178.0.0/24 via 10.77.0.1'" 'Type=oneshot'
unit town-home-names '/usr/sbin/dnsmasq --keep-in-foreground --conf-file=/etc/dnsmasq-home.conf' ''
unit town-names '/usr/sbin/dnsmasq --keep-in-foreground --conf-file=/etc/dnsmasq-town.conf' ''
unit town-servers /usr/local/bin/town-servers ''
systemctl daemon-reload
for service in town-addresses town-home-names town-names town-servers; do systemctl enable --quiet $service; systemctl restart $service; done
