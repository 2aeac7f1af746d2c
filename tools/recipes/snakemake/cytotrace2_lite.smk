# Scores samples with ct2-lite. In a workflow: include: "cytotrace2_lite.smk"
#
#     config["cytotrace2_lite"] = {
#         "samples": {"gut": "gut.h5ad", "marrow": "marrow.h5ad"},
#         "species": "human",  # mouse by default
#         "options": "--strict",  # any other option of ct2-lite run
#     }
#
# The results are cytotrace2/SAMPLE_cytotrace2_results.txt and cytotrace2/SAMPLE_run.json.


rule cytotrace2_lite:
    input:
        lambda wildcards: config["cytotrace2_lite"]["samples"][wildcards.sample],
    output:
        results="cytotrace2/{sample}_cytotrace2_results.txt",
        record="cytotrace2/{sample}_run.json",
    log:
        "logs/cytotrace2_lite/{sample}.log",
    params:
        species=config["cytotrace2_lite"].get("species", "mouse"),
        options=config["cytotrace2_lite"].get("options", ""),
        directory=lambda wildcards, output: os.path.dirname(output.results),
    wildcard_constraints:
        sample="[^/]+",
    threads: 2
    resources:
        mem_mb=2048,
    conda:
        "environment.yaml"
    shell:
        "ct2-lite run {input:q} --prefix {wildcards.sample:q} --output-dir {params.directory:q}"
        " --species {params.species} --max-cores {threads} --max-memory {resources.mem_mb}M"
        " --disable-plotting --disable-verbose {params.options} >{log:q} 2>&1"
