"""Groups are found in whatever trees the computer has."""

from toolkit.lab.cgroups import hierarchies_in

V1 = """\
34 33 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 33 0:28 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
36 33 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
37 33 0:35 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
38 33 0:36 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"


def test_each_tree_of_version_1_that_systemd_or_the_lab_reads_is_one():
    assert [path.name for path in hierarchies_in(V1)] == ["cpuacct", "memory", "systemd", "unified"]


def test_version_2_is_one_tree():
    assert [str(path) for path in hierarchies_in(V2)] == ["/sys/fs/cgroup"]


def test_a_tree_that_is_mounted_twice_counts_once():
    assert len(hierarchies_in(V2 + V2)) == 1
