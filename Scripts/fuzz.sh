#!/usr/bin/env bash
# Builds the fuzzing targets and runs each: fuzz.sh SECONDS [TARGET]
# A target starts from Fuzz/Corpus and from what it has learnt before (in .build-fuzz/corpus). The
# last lines say for each how many inputs it ran, how much code they reached and what they broke.
set -uo pipefail
cd "$(dirname "$0")/.."

seconds=$1
only=${2:-}
scratch=.build-fuzz
# The coverage is named, because of two sanitizers the compiler passes on only one, now this one,
# now that; without coverage the fuzzer is blind.
flags=(-c release --sanitize fuzzer --sanitize address -Xswiftc -use-ld=lld
  -Xswiftc "-sanitize-coverage=edge,indirect-calls,trace-cmp,inline-8bit-counters,pc-table"
  --scratch-path "$scratch")
targets=()
for folder in Fuzz/Fuzz*/; do
  name=$(basename "$folder")
  name=${name#Fuzz}
  [ "$name" = Bodies ] && continue
  if [ -z "$only" ] || [ "$only" = "$name" ] || [ "$only" = "Fuzz$name" ]; then targets+=("$name"); fi
done
if [ ${#targets[@]} -eq 0 ]; then
  echo "There is no target '$only'."
  exit 2
fi

for name in "${targets[@]}"; do
  swift build "${flags[@]}" --product "Fuzz$name" || exit 1
done
programs=$(swift build "${flags[@]}" --show-bin-path)

summary=()
status=0
for name in "${targets[@]}"; do
  learnt=$scratch/corpus/$name
  broken=$scratch/artefacts/$name
  log=$scratch/$name.log
  mkdir -p "$learnt" "$broken"
  echo "Fuzz$name: $seconds seconds, log in $log"
  # A larger input than this finds nothing more; no input may take 10 s or 2 GiB. Leaks are not
  # looked for: the Swift runtime keeps what it makes once.
  SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0 "$programs/Fuzz$name" \
    -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$broken/" "$learnt" "Fuzz/Corpus/$name" \
    $(if [ -d "Fuzz/Regressions/$name" ]; then echo "Fuzz/Regressions/$name"; fi) >"$log" 2>&1
  code=$?
  counters=$(sed -n 's/.*modules *(\([0-9]*\) inline.*/\1/p' "$log" | head -1)
  if [ "${counters:-0}" -lt 10000 ]; then
    echo "Fuzz$name was built without coverage (${counters:-0} counters)."
    exit 1
  fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
  reached=$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)
  found=0
  if [ "$code" -ne 0 ]; then
    found=1
    status=1
    grep -E 'Fatal error|ERROR:' "$log" | head -3
    echo "Fuzz$name broke on $(sed -n 's/.*Test unit written to //p' "$log" | tail -1)"
    echo "It becomes a case of 'make test' as a file in Fuzz/Regressions/$name."
  fi
  summary+=("Fuzz$name: ${runs:-0} inputs, ${reached:-0} edges reached, $found broken")
done
printf '%s\n' "${summary[@]}"
exit "$status"
