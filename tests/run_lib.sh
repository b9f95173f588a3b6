# Sourced by tests/run.

# suite FOLDER COMPILER SANITIZERS SUITES MESON-OPTIONS…: builds (warnings are errors), tests, adds
# to the counts. Empty SUITES: all of them.
suite() {
	folder=$1 compiler=$2 sanitizers=$3 suites=$4
	shift 4
	echo "== $folder: $compiler ${sanitizers:+with $sanitizers}"
	if [ ! -f "$folder/build.ninja" ]; then
		CC=$compiler meson setup "$folder" --werror ${sanitizers:+-Db_sanitize=$sanitizers} \
			-Db_lundef=false "$@" >"$folder.log" 2>&1 || {
			cat "$folder.log"
			failed=$((failed + 1))
			return
		}
		rm -f "$folder.log"
	fi
	if ! ninja -C "$folder" --quiet; then
		echo "FAILED: the build in $folder"
		failed=$((failed + 1))
		return
	fi
	chosen=
	for name in $suites; do
		chosen="$chosen --suite $name"
	done
	rm -f "$folder/meson-logs/testlog.json"
	# shellcheck disable=SC2086
	meson test -C "$folder" --no-rebuild --print-errorlogs $chosen
	count "$folder/meson-logs/testlog.json"
}

# Adds the results of a Meson test log: one JSON object a line.
count() {
	if [ ! -s "$1" ]; then
		echo "FAILED: no test ran"
		failed=$((failed + 1))
		return
	fi
	ok=$(grep -c '"result": "OK"' "$1")
	skip=$(grep -c '"result": "SKIP"' "$1")
	all=$(grep -c '"result": ' "$1")
	passed=$((passed + ok))
	skipped=$((skipped + skip))
	failed=$((failed + all - ok - skip))
}
