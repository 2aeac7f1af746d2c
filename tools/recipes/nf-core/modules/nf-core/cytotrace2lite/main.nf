process CYTOTRACE2LITE {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "cytotrace2-lite:0.1.0"

    input:
    tuple val(meta), path(expression)
    val species
    path model

    output:
    tuple val(meta), path("*_cytotrace2_results.txt"), emit: results
    tuple val(meta), path("*_run.json")              , emit: record
    tuple val(meta), path("*_mqc.json")              , emit: multiqc
    tuple val(meta), path("*.png")                   , emit: plots, optional: true
    path "versions.yml"                              , emit: versions
    tuple val("${task.process}"), val('cytotrace2-lite'), eval("ct2-lite --version | sed 's/.* //'"), topic: versions, emit: versions_cytotrace2lite

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: '--disable-plotting'
    def prefix = task.ext.prefix ?: "${meta.id}"
    def with_model = model ? "--model ${model}" : ''
    """
    ct2-lite run \\
        ${expression} \\
        --species ${species} \\
        --prefix ${prefix} \\
        --output-dir . \\
        --max-cores ${task.cpus} \\
        --max-memory ${task.memory.toMega()}M \\
        --disable-verbose \\
        --multiqc \\
        ${with_model} \\
        ${args}

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        cytotrace2-lite: \$(ct2-lite --version | sed 's/.* //')
    END_VERSIONS
    """

    stub:
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}_cytotrace2_results.txt
    touch ${prefix}_run.json
    touch ${prefix}_cytotrace2_general_stats_mqc.json

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        cytotrace2-lite: \$(ct2-lite --version | sed 's/.* //')
    END_VERSIONS
    """
}
