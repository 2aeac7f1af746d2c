"""What control groups leave of the machine: made-up trees of both versions."""

import pytest

from cytotrace2_lite.system import machine

GIB = 1 << 30


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Function that writes the files of control groups, and which groups this process has."""
    (tmp_path / "meminfo").write_text(f"MemAvailable: {64 * GIB // 1024} kB\n")
    (tmp_path / "statm").write_text("9 0 1")
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "_OWN_MEMORY", tmp_path / "statm")
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: range(16), raising=False)

    def write(own, files):
        if own is not None:
            (tmp_path / "own").write_text(own)
        for name, text in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")

    return write


V1_UNLIMITED = 9223372036854771712


@pytest.mark.parametrize(
    ("own", "files", "cores", "memory"),
    [
        pytest.param(None, {}, 16, 64, id="no groups"),
        pytest.param("0::/\n", {}, 16, 64, id="the root, without limits"),
        pytest.param(
            "0::/\n",
            {"cpu.max": "200000 100000", "memory.max": 4 * GIB},
            2,
            4,
            id="a container of version 2",
        ),
        pytest.param(
            "0::/system.slice/ct2.service\n",
            {
                "system.slice/cpu.max": "max 100000",
                "system.slice/memory.max": "max",
                "system.slice/ct2.service/cpu.max": "350000 100000",
                "system.slice/ct2.service/memory.max": 8 * GIB,
            },
            3,
            8,
            id="a service of systemd",
        ),
        pytest.param(
            "0::/slurm/job_7/step_0/task_0\n",
            {
                "slurm/job_7/cpu.max": "400000 100000",
                "slurm/job_7/memory.max": 6 * GIB,
                "slurm/job_7/step_0/memory.max": "max",
                "slurm/job_7/step_0/task_0/cpu.max": "max 100000",
                "slurm/job_7/step_0/task_0/memory.max": 32 * GIB,
                "slurm/job_8/memory.max": 1 * GIB,
            },
            4,
            6,
            id="the limit of a group above",
        ),
        pytest.param(
            "12:memory:/slurm/uid_1/job_7\n3:cpu,cpuacct:/slurm/uid_1/job_7\n1:name=systemd:/x\n",
            {
                "memory/memory.limit_in_bytes": V1_UNLIMITED,
                "memory/slurm/uid_1/memory.limit_in_bytes": V1_UNLIMITED,
                "memory/slurm/uid_1/job_7/memory.limit_in_bytes": 5 * GIB,
                "cpu,cpuacct/cpu.cfs_quota_us": -1,
                "cpu,cpuacct/cpu.cfs_period_us": 100000,
                "cpu,cpuacct/slurm/uid_1/cpu.cfs_quota_us": 600000,
                "cpu,cpuacct/slurm/uid_1/cpu.cfs_period_us": 100000,
                "cpu,cpuacct/slurm/uid_1/job_7/cpu.cfs_quota_us": -1,
                "cpu,cpuacct/slurm/uid_1/job_7/cpu.cfs_period_us": 100000,
            },
            6,
            5,
            id="Slurm with version 1",
        ),
        pytest.param(
            "4:memory:/docker/0123\n1:cpu:/docker/0123\n",
            {
                "memory/memory.limit_in_bytes": 3 * GIB,
                "cpu/cpu.cfs_quota_us": 150000,
                "cpu/cpu.cfs_period_us": 100000,
            },
            1,
            3,
            id="a container that sees its own group as the root",
        ),
        pytest.param(
            "1:name=systemd:/\n0::/user.slice\n",
            {"unified/user.slice/memory.max": 7 * GIB},
            16,
            7,
            id="version 2 beside version 1",
        ),
        pytest.param(
            "0::/../other\n", {"memory.max": 2 * GIB}, 16, 2, id="a group outside the namespace"
        ),
        pytest.param("0::/a:b\n", {"a:b/memory.max": 2 * GIB}, 16, 2, id="a name with a colon"),
        pytest.param(
            "nothing\n",
            {"cpu.max": "x", "memory.max": "", "cpu/cpu.cfs_quota_us": 5},
            16,
            64,
            id="what cannot be read",
        ),
        pytest.param("0::/\n", {"cpu.max": "50000 100000"}, 1, 64, id="half a processor"),
    ],
)
def test_limits(groups, own, files, cores, memory):
    groups(own, files)
    assert machine.available_cores() == cores
    assert machine.available_memory() == memory * GIB
