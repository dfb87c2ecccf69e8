"""The package cache goes to Debian the way this computer's own apt does."""

from toolkit.lab.mirror import DEBIAN, SECURITY, Mirror, repositories


def test_debians_own_address_is_the_default():
    assert repositories("") == (DEBIAN, SECURITY)
    assert Mirror().cache_options() == []


def test_the_first_mirror_over_http_of_each_archive_is_taken():
    targets = (
        "Debian Debian cdrom://[Debian GNU/Linux 13]/\n"
        "Debian Debian https://mirror.example/debian\n"
        "Debian Debian http://second.example/debian/\n"
        "Debian Debian-Security http://security.debian.org/debian-security/\n"
    )
    assert repositories(targets) == ("https://mirror.example/debian/", "http://security.debian.org/debian-security/")


def test_other_archives_than_debians_are_not_taken_for_it():
    targets = "Ubuntu Ubuntu http://archive.example/ubuntu/\nDebian Debian-Backports http://b.example/debian/\n. nodistro https://n.example/\n"
    assert repositories(targets) == (DEBIAN, SECURITY)


def test_the_cache_is_told_of_another_mirror_a_proxy_and_an_authority():
    mirror = Mirror("https://mirror.example/debian/", SECURITY, "http://proxy.example:3128", "/etc/ssl/own.pem")
    assert mirror.cache_options() == [
        "Remap-debian: http://deb.debian.org/debian/ ; https://mirror.example/debian/",
        "Proxy: http://proxy.example:3128",
        "CAfile: /etc/ssl/own.pem",
    ]
