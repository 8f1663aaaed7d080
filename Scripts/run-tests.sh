#!/usr/bin/env bash
# Runs the tests that are built already: run-tests.sh BUILD-FLAGS… [--filter NAME]
# The last line says `N passed, N failed`. Whatever the tests started and left behind is ended.
set -uo pipefail
cd "$(dirname "$0")/.."

report=.build/tests.xml
swift_testing_report=.build/tests-swift-testing.xml
rm -f "$report" "$swift_testing_report"

# Everything that the tests start lives in one session, so that it can be found at the end, even
# after a crash of the test process. The backtracer costs half a second for each expected crash.
SWIFT_BACKTRACE=enable=no timeout --kill-after=10 "${TEST_TIMEOUT_SECONDS:-1200}" \
  setsid --wait swift test "$@" --skip-build --parallel --xunit-output "$report" &
runner=$!

# The session's leader is the child of `timeout`.
leader=
for _ in $(seq 50); do
  leader=$(cat "/proc/$runner/task/$runner/children" 2>/dev/null | tr -d ' ')
  [ -n "$leader" ] && break
  sleep 0.1
done

end_session() {
  [ -n "$leader" ] || return 0
  local stat fields
  for stat in /proc/[0-9]*/stat; do
    # After the name in parentheses: state, parent, group, session.
    fields=$(cat "$stat" 2>/dev/null) || continue
    read -r _ _ _ session _ <<<"${fields##*) }"
    if [ "$session" = "$leader" ]; then
      stat=${stat#/proc/}
      kill -KILL "${stat%/stat}" 2>/dev/null
    fi
  done
  return 0
}
trap 'end_session; exit 130' INT TERM

wait "$runner"
status=$?
end_session

# A case with several failures counts once.
read -r total failed skipped < <(
  cat "$report" "$swift_testing_report" 2>/dev/null | awk '
    /<testcase / { total++; open = 1 }
    /<failure/ && open { failed++; open = 0 }
    /<skipped/ { skipped++ }
    END { print total + 0, failed + 0, skipped + 0 }'
)
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
  echo "The test process ended with $status without reporting a failure: it crashed or ran out of time."
  failed=1
  total=$((total + 1))
fi
passed=$((total - failed - skipped))
if [ "$passed" -le 0 ] && [ "$status" -eq 0 ]; then
  echo "No test ran."
  status=1
fi
[ "$failed" -eq 0 ] || status=1
echo "$passed passed, $failed failed, $skipped skipped"
echo "$passed passed, $failed failed"
exit "$status"
