import numpy as np
import pytest

import cytotrace2_lite as ct2
from cytotrace2_lite.explanation.means import GroupMeans, MeanCell
from cytotrace2_lite.explanation.measure import GroupSums
from cytotrace2_lite.genes import N_FEATURES, features

pytest.importorskip("matplotlib")

from cytotrace2_lite.explanation.plots import GenePlots, draw_files


def means(n_groups, n_genes=40):
    """Made-up means of groups, some with odd names; the last has a single cell."""
    random = np.random.RandomState(n_groups)
    shape = (n_groups + 1, N_FEATURES)
    sizes = np.append(random.randint(2, 50, n_groups - 1), [1, 0])
    share = np.zeros(shape)
    share[:, :n_genes] = random.normal(0, 0.01, (n_groups + 1, n_genes)) * sizes[:, None]
    genes = [""] * N_FEATURES
    genes[:n_genes] = ["$x_1$", "a\nb", "ÄÖ" * 30, *features()[3:n_genes]]
    expressing = np.zeros(shape)
    expressing[:, :n_genes] = random.random_sample((n_groups + 1, n_genes)) * sizes[:, None]
    sums = GroupSums(
        value=np.full(sizes.sum(), 0.4),
        n_cells=sizes,
        total=0.4 * sizes,
        share=share,
        added=share,
        n_expressing=expressing,
        log2_cpm=expressing,
    )
    names = tuple(f"$group_{k}$ " + "long " * k for k in range(n_groups))
    return GroupMeans(
        of="score",
        reference=MeanCell("all", 10, 0.3, 0.3),
        groups=names,
        group_index=np.repeat(np.arange(n_groups), sizes[:-1]),
        features=features(),
        genes=tuple(genes),
        sums=sums,
    )


@pytest.mark.parametrize("n_groups", [1, 3, 30])
def test_pictures_are_drawn_the_same_every_time(n_groups, tmp_path):
    first, second = (draw_files(means(n_groups), tmp_path, "svg") for _ in range(2))
    assert first == second
    assert len(first) == 2


def test_bars_are_the_extremes():
    made_up = means(3)
    ax = GenePlots(made_up).bars(made_up.groups[0], n=4)
    widths = [bar.get_width() for bar in ax.patches]
    share = made_up.mean_shares[0, made_up.in_input]
    expected = [*np.sort(share)[::-1][:4], *np.sort(share)[:4][::-1]]
    np.testing.assert_allclose(widths, expected)


def test_dots_are_groups_times_genes():
    made_up = means(4)
    plots = GenePlots(made_up)
    names = [features()[5], features()[7]]
    points = plots.dots(genes=names).collections[0]
    assert points.get_offsets().shape == (8, 2)
    np.testing.assert_allclose(
        points.get_array().reshape(4, 2), made_up.mean_shares[:, [5, 7]], rtol=1e-6
    )
    with pytest.raises(ct2.UsageError, match="the input has no gene 'Nope'"):
        plots.dots(genes=["Nope"])
    many = plots.dots(n=30)
    assert len(many.get_xticks()) <= 60


def test_sets_are_marked_where_their_genes_are():
    made_up = means(3)
    ax = GenePlots(made_up).ranked(
        made_up.groups[1], sets={"$a$": [features()[5], features()[9], "Nope"]}
    )
    lines = [line for line in ax.collections if len(line.get_paths()) == 2]
    order = np.argsort(-made_up.mean_shares[1, made_up.in_input], kind="stable")
    found = sorted(segment.vertices[0, 0] for segment in lines[-1].get_paths())
    assert found == sorted(np.flatnonzero(np.isin(order, [5, 9])))


def test_a_group_must_exist():
    plots = GenePlots(means(2))
    for draw in (plots.bars, plots.ranked, lambda name: plots.top_genes(groups=[name])):
        with pytest.raises(ct2.UsageError, match="there is no group 'x'"):
            draw("x")


def test_without_shares_nothing_breaks(tmp_path):
    made_up = means(2)
    made_up.sums.share[:] = 0
    assert len(draw_files(made_up, tmp_path)) == 2
