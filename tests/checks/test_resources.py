"""Time and memory of a run."""

import numpy as np
import pytest
from helpers.counts import as_counts
from scipy.sparse import csr_array

import cytotrace2_lite as ct2
from cytotrace2_lite.checks import resources
from cytotrace2_lite.system import machine


class TestResources:
    @pytest.fixture
    def counts(self):
        return as_counts(csr_array(np.ones((200, 1000), dtype=np.uint8)))

    def estimate(self, counts, n=1, threads=1):
        return resources.estimate(counts, np.array_split(np.arange(counts.shape[0]), n), threads)

    def test_grows_with_the_work(self, counts, monkeypatch):
        monkeypatch.setattr(machine, "peak_memory", lambda: None)
        seconds, memory = self.estimate(counts)
        double = as_counts(csr_array(np.ones((400, 1000), dtype=np.uint8)))
        assert self.estimate(double)[0] == pytest.approx(2 * seconds, rel=0.01)
        assert self.estimate(double)[1] > memory
        assert self.estimate(counts, threads=2)[0] < seconds
        assert self.estimate(counts, threads=2)[1] > memory
        assert self.estimate(double, n=2)[1] < self.estimate(double)[1]

    def test_is_never_less_than_what_was_held_already(self, counts, monkeypatch):
        monkeypatch.setattr(machine, "peak_memory", lambda: 10**15)
        assert self.estimate(counts)[1] == 10**15

    def test_too_little_memory(self, counts, monkeypatch):
        monkeypatch.setattr(machine, "peak_memory", lambda: 50_000_000_000)
        monkeypatch.setattr(machine, "available_memory", lambda: 16_000_000_000)
        batches = [np.arange(200)]
        for max_memory, there in (
            (None, "16.0 GB are there"),
            (20_000_000_000, "20.0 GB are allowed (--max-memory)"),
        ):
            with pytest.raises(ct2.UsageError) as caught:
                resources.check_resources(counts, batches, 1, 10_000, max_memory)
            assert str(caught.value) == (
                f"about 50.0 GB of memory would be needed (an estimate), and {there}. Use a "
                "-bs/--batch-size (batch_size in Python) smaller than 10,000, a machine with more "
                "memory, or, where the estimate is too cautious, a larger --max-memory."
            )
        for enough, allowed in ((50_000_000_000, None), (None, None), (1, 50_000_000_000)):
            monkeypatch.setattr(machine, "available_memory", lambda enough=enough: enough)
            (note,) = resources.check_resources(counts, batches, 1, 10_000, allowed)
            assert (
                note.what
                == "about 1 s from here and about 50.0 GB of memory with 1 thread (an estimate)"
            )

    def test_available_memory(self, monkeypatch, tmp_path):
        for name, text in {
            "meminfo": "MemTotal: 9 kB\nMemAvailable: 1000 kB\n",
            "own": "9 5 1",
        }.items():
            (tmp_path / name).write_text(text)
        monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
        monkeypatch.setattr(machine, "_OWN_MEMORY", tmp_path / "own")
        monkeypatch.setattr(machine, "_CGROUPS", tmp_path)
        monkeypatch.setattr(machine, "_OWN_CGROUPS", tmp_path / "none")
        monkeypatch.setattr(machine.os, "sysconf", lambda _: 4096)
        assert machine.available_memory() == 1000 * 1024 + 5 * 4096
        (tmp_path / "memory.max").write_text("max\n")
        assert machine.available_memory() == 1000 * 1024 + 5 * 4096
        (tmp_path / "memory.max").write_text("5000\n")
        assert machine.available_memory() == 5000
        monkeypatch.setattr(machine, "_MEMORY", tmp_path / "none")
        assert machine.available_memory() is None
