"""Models from files that are there already."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import torch_format
from helpers.repository import NEW, OLD, flip, nothing_visible

from cytotrace2_lite.errors import ModelError, UsageError
from cytotrace2_lite.models import onnx_file
from cytotrace2_lite.models.install import install, sources
from cytotrace2_lite.models.install.sources import from_files
from cytotrace2_lite.models.installed import OFFICIAL_MODELS
from cytotrace2_lite.models.sealed import read_model, seal

INSTALL = "cytotrace2_lite.models.install"


class TestFromFiles:
    @pytest.mark.parametrize("name", [NEW, OLD])
    def test_equal_files_give_equal_bytes(self, server, ct2, members, home, installed, name):
        version = OFFICIAL_MODELS[name]
        assert ct2("--from", members[version], "--accept-license")[0] == 0
        assert (home / f"{name}.onnx").read_bytes() == installed[name]
        assert server.requests == []

    def test_as_an_installed_cytotrace2_py_has_them(self, server, ct2, members, home, installed):
        site = home.parent / "site-packages/cytotrace2_py/resources"
        shutil.copytree(members["1.1.0"], site / "models")
        shutil.move(site / "models/background.pt", site / "background.pt")
        (site.parent / "other").mkdir()
        (site.parent / "other/unrelated.pt").write_bytes(b"something else")
        (site / "gone.pt").symlink_to("nowhere")
        assert ct2("--from", site.parent, "--accept-license")[0] == 0
        assert (home / f"{NEW}.onnx").read_bytes() == installed[NEW]

    def test_a_checkout_with_both(self, server, ct2, home, installed, tmp_path):
        checkout = tmp_path / "cytotrace2"
        for path, content in server.files.items():
            (checkout / path).parent.mkdir(parents=True, exist_ok=True)
            (checkout / path).write_bytes(content)
        code, err = ct2("--from", checkout, "--accept-license")
        assert code == 2
        assert f"Say which: ct2-lite models install {NEW} --from {checkout}" in err
        assert ct2(OLD, "--from", checkout, "--accept-license")[0] == 0
        assert (home / f"{OLD}.onnx").read_bytes() == installed[OLD]

    @pytest.fixture
    def copy(self, members, tmp_path):
        return Path(shutil.copytree(members["1.1.0"], tmp_path / "copy"))

    def test_incomplete(self, server, copy):
        (copy / "model3.pt").unlink()
        (copy / "background.pt").unlink()
        with pytest.raises(ModelError) as caught:
            from_files(copy)
        assert str(caught.value) == (
            f"{copy}: has 2 of the 3 members of {NEW}; missing: B.2.pt, background.pt. Complete "
            "the directory."
        )
        with pytest.raises(ModelError, match=f"holds no member of {OLD}"):
            from_files(copy, official=OLD)

    def test_one_altered(self, server, copy):
        path = copy / "model2.pt"
        path.write_bytes(flip(path.read_bytes()))
        with pytest.raises(ModelError) as caught:
            from_files(copy)
        assert str(caught.value) == (
            f"{copy}: has 2 of the 3 members of {NEW}; missing: alpha.pt. By its digest {path} is "
            "no official file. An ensemble that is not the official one is installed with --name "
            "NAME."
        )

    def test_one_too_many(self, server, copy, members):
        shutil.copy(copy / "model1.pt", copy / "again.pt")  # the same one twice is no other one
        assert from_files(copy).official == "1.1.0"
        shutil.copy(members["1.0.0"] / "model1.pt", copy / "model4.pt")  # an official one, too
        assert from_files(copy).official == "1.1.0"
        extra = copy / "model5.pt"
        extra.write_bytes(flip((copy / "model1.pt").read_bytes()))
        for official in (None, NEW):
            with pytest.raises(ModelError, match=r"model5\.pt: does not belong to cytotrace2-1\.1"):
                from_files(copy, official=official)
        with pytest.raises(ModelError, match="6 members, not 3"):
            from_files(copy, name="lab")

    def test_own_members(self, home, ct2, members, monkeypatch, tmp_path, repository):
        # Members of the right number that the list does not know.
        list_of_others = tmp_path / "list.tsv"
        text = repository.manifest.read_text()
        changed = text.splitlines()[:1]
        for number, line in enumerate(text.splitlines()[1:]):
            version, member, _, commit, path = line.split("\t")
            changed.append("\t".join([version, member, f"{number:040x}", commit, path]))
        list_of_others.write_text("\n".join(changed) + "\n")
        monkeypatch.setattr(f"{INSTALL}.official._MANIFEST", list_of_others)
        code, err = ct2("--from", members["1.1.0"])
        assert code == 5
        assert f"holds no member of {NEW}. By its digest {members['1.1.0']}/model1.pt is no" in err
        code, err = ct2("--from", members["1.1.0"], "--name", "lab")
        assert code == 0
        assert "Folding 3 members that are not the official ones." in err
        assert "lab: not official weights, 3 members" in err
        entries = onnx_file.metadata(read_model(home / "lab.onnx").content)
        assert entries["name"] == "lab"
        assert "official" not in entries
        code, err = ct2("--from", members["1.1.0"], "--name", "lab")
        assert code == 2
        assert "Remove it first (ct2-lite models remove lab)" in err
        for name in (NEW, "open", "../lab", "lab.onnx", "Lab"):
            assert ct2("--from", members["1.1.0"], "--name", name)[0] == 2
        assert [path.name for path in home.glob("*.onnx")] == ["lab.onnx"]

    def test_own_members_must_be_complete_and_in_one_place(self, server, copy, tmp_path):
        torch_format.save(copy / "model1.pt", {"nothing": np.zeros(1, np.float32)})
        with pytest.raises(ModelError, match=r"model1\.pt: not an ensemble member"):
            from_files(copy, name="lab")
        (copy / "model1.pt").unlink()
        with pytest.raises(ModelError, match="2 members, not 3, as an ensemble of version"):
            from_files(copy, name="lab")
        (copy / "more").mkdir()
        shutil.move(copy / "model2.pt", copy / "more/model2.pt")
        with pytest.raises(ModelError, match="must be in one directory"):
            from_files(copy, name="lab")

    def test_own_members_without_background(self, server, copy):
        (copy / "background.pt").unlink()
        with pytest.raises(ModelError, match=r"background\.pt is neither in this directory nor"):
            from_files(copy, name="lab")

    def test_nothing_there(self, server, tmp_path, monkeypatch):
        with pytest.raises(ModelError, match=r"no \.pt file in this directory or below it"):
            from_files(tmp_path)
        with pytest.raises(ModelError, match=r"none: cannot be read \(No such file or directory\)"):
            from_files(tmp_path / "none")
        (tmp_path / "text.onnx").write_text("text")
        with pytest.raises(ModelError, match="not a cytotrace2_lite model"):
            from_files(tmp_path / "text.onnx")
        monkeypatch.setattr(sources, "_MAX_ENTRIES", 3)
        for number in range(4):
            (tmp_path / f"{number}.txt").touch()
        with pytest.raises(ModelError, match="more than 3 files below it"):
            from_files(tmp_path)

    def test_changed_after_the_check(self, server, copy, home):
        installation = from_files(copy)
        path = copy / "model2.pt"
        path.write_bytes(flip(path.read_bytes()))
        with pytest.raises(ModelError, match=r"model2\.pt: was changed after it was verified"):
            install.install(installation)
        path.unlink()
        with pytest.raises(ModelError, match=r"model2\.pt: cannot be read \(No such file"):
            install.install(installation)
        assert nothing_visible(home)


class TestFromModelFile:
    def test_own(self, ct2, home, model_files):
        code, err = ct2("--from", model_files["1.1.0"])
        assert code == 0
        assert "licence" not in err
        copied = home / "made-up.onnx"
        assert copied.read_bytes() == model_files["1.1.0"].read_bytes()
        assert ct2("--from", copied, "--name", "other")[0] == 0
        assert (home / "other.onnx").read_bytes() == copied.read_bytes()

    def test_official(self, server, ct2, home, tmp_path, installed):
        file = tmp_path / "sent.onnx"
        file.write_bytes(installed[OLD])
        code, err = ct2("--from", file, "--accept-license")
        assert code == 0
        assert "Anybody could write that" in err
        assert (home / f"{OLD}.onnx").read_bytes() == installed[OLD]
        with pytest.raises(ModelError, match=f"not {NEW}, but {OLD}"):
            from_files(file, official=NEW)
        with pytest.raises(UsageError, match=r"not the official ensemble of version 1\.1\.0"):
            from_files(file, name=NEW)

    def test_not_what_it_says(self, server, tmp_path, installed, exported):
        import onnx

        def relabelled(content, **entries):
            model = onnx.load_from_string(content[: -len(seal(b"")) or None])
            properties = {entry.key: entry.value for entry in model.metadata_props}
            onnx.helper.set_model_props(model, {**properties, **entries})
            path = tmp_path / "relabelled.onnx"
            path.write_bytes(seal(model.SerializeToString(deterministic=True)))
            return path

        with pytest.raises(ModelError, match="but names other files as its sources"):
            from_files(relabelled(exported["1.0.0"][1], official="1.0.0"))
        with pytest.raises(ModelError, match="but names other files as its sources"):
            from_files(relabelled(installed[OLD], official="1.1.0"))
        with pytest.raises(ModelError, match="but names other files as its sources"):
            from_files(relabelled(installed[OLD], official="2.0.0"))
        with pytest.raises(UsageError, match=r"not the official ensemble of version 1\.0\.0"):
            from_files(relabelled(exported["1.0.0"][1], name=OLD))
        for name in ("open", "open-2", "My Model", "../x"):
            path = relabelled(exported["1.0.0"][1], name=name)
            with pytest.raises(UsageError, match="cannot be its name here"):
                from_files(path)
            assert from_files(path, name="lab").name == "lab"

    def test_altered(self, ct2, home, tmp_path, model_files):
        file = tmp_path / "sent.onnx"
        file.write_bytes(flip(model_files["1.1.0"].read_bytes()))
        code, err = ct2("--from", file, "--name", "lab")
        assert code == 5
        assert "the model was altered" in err
        assert not home.exists()
