"""The keys of `run.json` and of `Result.info`, in their order; docs/formats.md explains each.

They are part of the interface: a key may be added, but none is renamed, moved or removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from typing_extensions import NotRequired

__all__ = [
    "AnnotationReport",
    "BatchQuality",
    "ClusterReport",
    "CompanionReport",
    "FindingReport",
    "GenesReport",
    "InputReport",
    "ModelReport",
    "OptionsReport",
    "OrthologsReport",
    "ParametersReport",
    "QualityReport",
    "RunReport",
    "SamplesReport",
    "SupersededReport",
]


class ModelReport(TypedDict):
    """The model; as `cytotrace2_lite.models.info.ModelInfo`."""

    name: str
    licence: str
    architecture: str
    n_members: int
    sha256: str
    path: str
    sources: tuple[dict[str, str], ...]
    official: str


class ParametersReport(TypedDict):
    """The parameters; as `cytotrace2_lite.base.parameters.Parameters`."""

    species: str
    batch_size: int
    smooth_batch_size: int
    seed: int
    max_cores: int
    max_memory: int | None


class CompanionReport(TypedDict):
    """A file that names the genes or cells of another file."""

    path: str
    n_bytes: int
    sha256: str


class _SourceReport(TypedDict, total=False):
    format: str
    path: str | None
    compression: str | None
    n_bytes: int | None
    sha256: str | None
    matrix: str | None
    other_matrices: tuple[str, ...]
    orientation: str
    gene_names: str
    duplicate_genes: str
    n_duplicates: int
    companions: tuple[CompanionReport, ...]
    instead_of: str | None


class InputReport(_SourceReport):
    """What was read; as `cytotrace2_lite.read.Source`, and the size of the table.

    A caller who hands over counts instead of data has only the last three keys.
    """

    n_cells: int
    n_genes: int
    max_value: float


class SupersededReport(TypedDict):
    """A gene name that is left out because a better name of the same gene is in the input."""

    name: str
    feature: str
    winner: str


class GenesReport(TypedDict):
    """What became of the gene names; as `cytotrace2_lite.genes.MappingReport`."""

    species: str
    n_genes: int
    n_mapped: int
    symbol: int
    ortholog: int
    uppercase: int
    alias: int
    ensembl: int
    superseded: list[SupersededReport]
    upper_case_share: float
    likely_species: str | None
    dates: tuple[str, ...]
    n_features: int


class SamplesReport(TypedDict):
    """Which samples there are: the column they are from, and how many cells each has."""

    key: str
    n_cells: dict[str, int]


class BatchQuality(TypedDict):
    """What a batch is like; `sample` is there where cells are scored by sample."""

    sample: NotRequired[str]
    n_cells: int
    median_genes_per_cell: float
    share_of_cells_under_500_genes: float
    smoothed_over_neighbors: bool


class QualityReport(TypedDict):
    """Names of the cells without counts, and what each batch is like."""

    cells_without_counts: list[str]
    batches: list[BatchQuality]


class FindingReport(TypedDict):
    """What was found out about the dataset; as `cytotrace2_lite.base.finding.Finding`."""

    code: str
    severity: Literal["error", "warning", "note"]
    what: str
    why: str
    remedy: str


class OrthologsReport(TypedDict):
    """The table of orthologs; as `cytotrace2_lite.genes.orthologs.Orthologs`."""

    path: str
    sha256: str
    n_pairs: int
    n_without: int
    n_unknown: int


class AnnotationReport(TypedDict):
    """The annotation: its file, and how many cells it has."""

    path: str
    n_cells: int


class OptionsReport(TypedDict):
    """The options that `parameters` and `input` do not tell, for `--skip-done`.

    A file is given by its SHA-256.
    """

    layer: str | None
    use_raw: bool
    orientation: str
    duplicate_genes: str
    gene_column: str | None
    orthologs: str | None
    annotation: str | None
    batch_key: str | None
    strict: bool
    extra_columns: bool
    explain: bool
    condition: str | None
    plot_format: str | None
    embedding: str | None


class ClusterReport(TypedDict):
    """How a Dask cluster was used.

    `read_by` is "driver" where the process that was started read the input, else "workers".
    """

    n_workers: int
    n_threads: int
    read_by: Literal["driver", "workers"]
    n_retries: int
    bytes_sent: int
    bytes_received: int
    bytes_between_workers: int


class RunReport(TypedDict):
    """What made the scores of a run, and how the run went.

    `Result.info` has all keys but the last two, which are of the files of a run.
    """

    cytotrace2_lite: str
    model: ModelReport
    pipeline: str
    parameters: ParametersReport
    input: InputReport
    genes: GenesReport
    samples: NotRequired[SamplesReport]
    quality: QualityReport
    potencies: dict[str, int]
    findings: list[FindingReport]
    warnings: list[str]
    seconds: dict[str, float]
    orthologs: NotRequired[OrthologsReport]
    annotation: NotRequired[AnnotationReport]
    peak_memory_bytes: NotRequired[int | None]
    embedding: NotRequired[str]
    cluster: NotRequired[ClusterReport]
    options: NotRequired[OptionsReport]
    results: NotRequired[str]
    results_sha256: NotRequired[str]
