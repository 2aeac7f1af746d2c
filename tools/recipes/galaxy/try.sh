#!/usr/bin/env bash
# try.sh GALAXY OUTPUT [PLANEMO-OPTION...]: run `planemo test` of the wrapper in a Galaxy from PyPI, and
# leave planemo's report and what the jobs wrote in the directory OUTPUT. GALAXY is a virtual environment
# with galaxy-app and galaxy-web-apps. planemo and ct2-lite are on the PATH: dependencies are not
# resolved. Needs neither Galaxy's source nor a network but 127.0.0.1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=$(cd "$here/../../../tests/data" && pwd)
galaxy=$(cd "$1" && pwd)
mkdir -p "$2"
output=$(cd "$2" && pwd)
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# planemo wants the folders of Galaxy's source, and its run.sh.
mkdir -p "$work/root/lib" "$work/root/config" "$work/root/tool-data" "$work/tool/test-data" "$work/home"
ln -s "$("$galaxy/bin/python" -c 'import galaxy.app, os; print(os.path.dirname(os.path.dirname(galaxy.app.__file__)))')" \
    "$work/root/lib/galaxy"
cat > "$work/root/run.sh" <<'SH'
#!/usr/bin/env bash
# The two processes that Gravity starts for Galaxy. (Gravity refuses to run as root.)
celery --app galaxy.celery worker --concurrency 1 --pool threads \
    --queues celery,galaxy.internal,galaxy.external &
exec gunicorn "galaxy.webapps.galaxy.fast_factory:factory()" --timeout 300 --workers 1 \
    --worker-class galaxy.webapps.galaxy.workers.Worker --config python:galaxy.web_stack.gunicorn_config \
    --bind "$(python -c 'import json, os
print(json.load(open(os.environ["GALAXY_CONFIG_FILE"]))["gravity"]["gunicorn"]["bind"])')"
SH
chmod +x "$work/root/run.sh"
cp "$here/cytotrace2_lite.xml" "$work/tool"
# planemo's --test_data does not reach the tests of tools.
cp "$data"/{enteric_300*,anndata_0.12.19.h5ad} "$work/tool/test-data"
planemo=$(command -v planemo)
tools=$(dirname "$(command -v ct2-lite)")
env HOME="$work/home" PATH="$tools:$galaxy/bin:$PATH" "$planemo" test --galaxy_root "$work/root" --skip_venv \
    --no_dependency_resolution --no_conda_auto_init --galaxy_startup_timeout 300 \
    --file_path "$output/files" --test_output "$output/report.html" --test_output_json "$output/report.json" \
    "$@" "$work/tool/cytotrace2_lite.xml"
