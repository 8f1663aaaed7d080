#!/usr/bin/env bash
# Refuses what the house style refuses and no formatter sees. Prints each place, file:line.
set -uo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8

# Files that git knows or would know: build folders are left out.
listed() {
  git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
    if [ -f "$file" ]; then echo "$file"; fi
  done
}
mapfile -t code < <(listed 'Sources/*.swift' 'Tests/*.swift' 'Fuzz/*.swift' 'Sources/*.c' 'Sources/*.h' \
  'Tests/*.c' 'Tests/*.h')
mapfile -t text < <(listed '*.swift' '*.c' '*.h' '*.md' '*.sh' '*.py' 'Makefile' '.ci/run')

problems=0
# refuse WHAT GREP-ARGUMENTS…: every line that grep finds is a problem.
refuse() {
  local what=$1 found
  shift
  # This script names what it looks for, and so may not find itself.
  found=$(grep -nH "$@" 2>/dev/null | grep -v '^Scripts/tidy\.sh:')
  if [ -n "$found" ]; then
    while read -r line; do echo "${line%%:*}:$(cut -d: -f2 <<<"$line"): $what"; done <<<"$found"
    problems=$((problems + $(wc -l <<<"$found")))
  fi
}

refuse "a TODO has an owner: TODO(name)" -E '\b(TODO|FIXME|XXX)\b($|[^(])' "${code[@]}"
refuse "trailing white space" -E '[[:blank:]]+$' "${text[@]}"
refuse "longer than 100 columns" -E '^.{101,}' "${code[@]}"
refuse "a path of one machine" -E '(^|[^A-Za-z0-9_.~/])/(work|root|Users|home/[a-z])[/A-Za-z]' "${text[@]}"
refuse "a placeholder" -iE '\bplaceholder\b' "${code[@]}"
refuse "code that is commented out" -E \
  '^[[:space:]]*//[[:space:]]*((let|var) [A-Za-z_]+ *[:=]|(public |package |private |static )*func [A-Za-z_]+\(|(return|import|try|await|guard|throw) [^.]*[);{]$|if .*\{$|for .* in .*\{$|\}[[:space:]]*$|#include |[A-Za-z_.]+\(.*\);?$)' \
  "${code[@]}"
refuse "a forced try or cast" -E '\b(try|as)!' "${code[@]}"

for file in "${code[@]}"; do
  lines=$(wc -l <"$file")
  if [ "$lines" -gt 600 ]; then
    echo "$file: $lines lines; a file has at most 600"
    problems=$((problems + 1))
  fi
  case "$(basename "$file")" in
    *Utils* | *Helper* | *Common* | *Manager*)
      echo "$file: a name that says nothing"
      problems=$((problems + 1))
      ;;
  esac
done

if [ "$problems" -gt 0 ]; then
  echo "tidy: $problems problems"
  exit 1
fi
echo "tidy: ${#code[@]} source files, no problem"
