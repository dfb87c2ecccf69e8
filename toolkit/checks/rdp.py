"""What xrdp presents to a client, asked on the desktop itself."""

from __future__ import annotations

# RDP asks for TLS inside its own first packet, so openssl alone cannot: perl makes the request and hands the socket on.
TLS = """\
set -u
work=$(mktemp -d)
trap 'rm -rf $work' EXIT
cat > $work/ca.pem <<'PEM'
{authority}
PEM
cat > $work/ask.pl <<'ASK'
use IO::Socket::INET; use Socket;
my ($wish, @command) = @ARGV;
my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => {port}, Timeout => 5) or die "no answer\\n";
$s->syswrite(pack("H*", "03000013" . "0ee00000000000" . "010008000" . $wish . "000000"));
alarm 5; my $got = ""; while (length $got < 19) {{ $s->sysread($got, 19 - length $got, length $got) or last }}
my ($kind, $chosen) = unpack("x11 C x3 V", $got . "\\0" x 19);
if (!@command) {{ print $kind == 2 && $chosen == 0 ? "accepted\\n" : "refused\\n"; exit }}
die "it chose no TLS\\n" unless $kind == 2 && $chosen == 1;
my $l = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die; my $port = $l->sockport;
if (!fork) {{ exec @command, "-connect", "127.0.0.1:$port" }}
my $c = $l->accept;
while (1) {{
  my $r = ""; vec($r, fileno $_, 1) = 1 for $s, $c; select($r, undef, undef, 5) or last;
  for ([$s, $c], [$c, $s]) {{
    my ($from, $to) = @$_;
    vec($r, fileno $from, 1) or next;
    sysread($from, my $data, 16384) or exit;
    syswrite $to, $data;
  }}
}}
ASK
ask() {{ timeout 15 perl $work/ask.pl "$@" 2>$work/errors; }}
ask 1 openssl s_client -CAfile $work/ca.pem -verify_hostname {name} -servername {name} </dev/null >$work/seen
openssl x509 -in $work/seen -out $work/cert.pem 2>/dev/null || {{ cat $work/errors >&2; exit 1; }}
code=$(sed -n 's/^ *Verify return code: //p' $work/seen | tail -n 1)
case $code in "0 "*) echo "verify OK" ;; *) echo "verify $code" ;; esac
echo "version $(sed -n 's/.*, \\(TLSv[0-9.]*\\), Cipher.*/\\1/p; s/^New, \\(TLSv[0-9.]*\\),.*/\\1/p' $work/seen | head -n 1)"
echo "end $(openssl x509 -in $work/cert.pem -noout -enddate | cut -d = -f 2)"
openssl x509 -in $work/cert.pem -noout -checkend 604800 >/dev/null && echo "week yes" || echo "week no"
old=$(ask 1 openssl s_client -tls1_1 -cipher DEFAULT@SECLEVEL=0 </dev/null)
case $old in *"Cipher is (NONE)"*|"") echo "old refused" ;; *) echo "old accepted" ;; esac
echo "plain $(ask 0)"
"""
