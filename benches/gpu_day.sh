#!/usr/bin/env bash
# A GPU day in a box: all that is worth knowing of this crate on a GPU, in 8 minutes, on a machine that has neither Rust nor
# sources nor a network.
#
#   bash benches/gpu_day.sh --pack [FILE]     builds the programs and packs them: target/gpu_day.tar.gz, 64 MiB at most
#
#   tar -xzf gpu_day.tar.gz && bash gpu_day/gpu_day.sh [--out DIR] [--seconds N] [--runner COMMAND]
#
# The second line runs the box anywhere with Linux, bash and coreutils. It leaves one folder, gpu_day_out unless --out says
# otherwise: README.md is the page to read, log.txt holds what every program printed, bench.jsonl the rows of the bench. The page is
# written anew after each step, so a run that is cut short leaves one too. --seconds is the time for everything, 480 unless
# given; each step has a share of it, which one before it that fails, hangs or crashes cannot take. --runner is put before
# each program, as the target/mesa/run that tests/run.sh makes. WGPU_ADAPTER_NAME, WGPU_BACKEND and VK_DRIVER_FILES choose the
# adapter.
#
# The exit status is 0 if every step passed or had a reason to be left out.
set -uo pipefail
home=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() { echo "gpu_day: $*" >&2; exit 1; }

# --- packing -------------------------------------------------------------------------------------------------------------

MOST_BYTES=$((64 << 20))
TESTS=(device) # of tests/: all that needs an adapter and no sources
EXAMPLES=(adapters bench)

# The programs that cargo has built, a line each: NAME PATH.
built() {
  cargo build --release --workspace --message-format json "${EXAMPLES[@]/#/--example=}" "${TESTS[@]/#/--test=}" --bench=host |
    sed -nE 's/.*"target":\{"kind":\["(bin|example|test|bench)"\].*"name":"([a-z_]+)".*"executable":"([^"]+)".*/\2 \3/p'
}

# The Vulkan loader, which a machine may lack though it has a driver.
pack_loader() { # FOLDER
  local found deb
  found=$(ldconfig -p 2>/dev/null | awk '$1 == "libvulkan.so.1" { print $NF; exit }')
  if [ -z "$found" ] && command -v apt-get >/dev/null; then
    deb=$(mktemp -d) && (cd "$deb" && apt-get -qq download libvulkan1 && dpkg-deb -x ./*.deb .) >/dev/null 2>&1
    found=$(find "$deb" -name libvulkan.so.1 2>/dev/null | head -1)
  fi
  [ -n "$found" ] || { echo "no Vulkan loader here: the machine must have one"; return; }
  mkdir -p "$1" && cp -L "$found" "$1/libvulkan.so.1"
}

pack() { # FILE
  local file=$1 root folder programs name path bytes
  root=$(cd "$home/.." && pwd) && cd "$root" || die "no sources at $home/.."
  command -v cargo >/dev/null || die "packing needs cargo"
  folder=$root/target/gpu_day
  programs=$(built) || die "the programs do not build"
  rm -rf "$folder" && mkdir -p "$folder"/bin "$folder"/tests || die "$folder cannot be made"
  for name in "${EXAMPLES[@]}" "${TESTS[@]}" host; do
    path=$(awk -v name="$name" '$1 == name { print $2 }' <<<"$programs")
    [ -n "$path" ] || die "cargo built no $name"
    cp "$path" "$folder/bin/$name" || die "$path cannot be copied"
    strip "$folder/bin/$name" 2>/dev/null || true # smaller, where there is strip
  done
  cp -r tests/cases tests/models "$folder/tests/" && rm -f "$folder"/tests/*/*.py
  cp benches/gpu_day.sh benches/beside_pytorch.py "$folder/"
  pack_loader "$folder/lib"
  {
    echo "commit $(git describe --always --dirty 2>/dev/null || echo unknown)"
    echo "packed $(date -u +%F)"
    rustc -V
  } >"$folder/BUILD"
  mkdir -p "$(dirname "$file")" && tar -czf "$file" -C target gpu_day || die "$file cannot be written"
  bytes=$(wc -c <"$file")
  echo "$file: $bytes bytes, $((bytes >> 20)) MiB"
  [ "$bytes" -le "$MOST_BYTES" ] || die "that is above $((MOST_BYTES >> 20)) MiB"
}

# --- steps ---------------------------------------------------------------------------------------------------------------
# A step is a function `step_NAME`. It prints what it finds, returns 0 where all is well, and 77 where there is a reason to
# leave it out, which is then the last line that it printed.

LEFT_OUT=77
left_out() { echo "$*"; return $LEFT_OUT; }

program() { # NAME ARGUMENTS...: one of the box's, in the folder where the tests find their cases
  (cd "$home/tests" && exec ${runner:+$runner} "$home/bin/$1" "${@:2}")
}

step_adapters() {
  echo "$(uname -srm), $(nproc) processors,$(sed -n 's/^model name[^:]*://p' /proc/cpuinfo | head -1)"
  program adapters --details
}

bench() { # ARGUMENTS...
  program bench --seconds 0.4 --json "$work/$step.jsonl" "$@" # which run_all collects, even those of a bench that is cut off
}

is_discrete() { grep -q $'^taken\t[^\t]*\tDiscreteGpu' "$work/adapters.txt"; }
large() { # SHAPE TYPE
  is_discrete || left_out "only a discrete GPU can do this many operations in the time" || return
  bench --shapes "$1" --dtype "$2"
}

step_G1_f16() { large G1 f16; }
step_G1_f32() { large G1 f32; }
step_G2_f16() { large G2 f16; }
step_G3_f16() { large G3 f16; }
step_G4_f16() { large G4 f16; }
step_G4_f32() { large G4 f32; }
step_G5_f16() { large G5 f16; }
step_layers_large_f16() { large GL,GN f16; }
step_layers_large_f32() { large GL,GN f32; }
step_P_f16() { bench --shapes P1,P2,P3,P4,P5,P6,P7 --dtype f16; }
step_P_f32() { bench --shapes P1,P2,P3,P4,P5,P6,P7 --dtype f32; }
step_layers_f16() { bench --shapes L1,L2,L3,N1 --dtype f16; }
step_layers_f32() { bench --shapes L1,L2,L3,N1 --dtype f32; }

step_pytorch() {
  python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null || left_out "no PyTorch here that sees a GPU" || return
  [ -s "$out/bench.jsonl" ] || left_out "the bench has no rows to compare" || return
  python3 "$home/beside_pytorch.py" --seconds 0.3 --rows "$out/bench.jsonl"
}

step_host() { CRITERION_HOME=$work/criterion program host --bench --quick; }

# Every test is a process of its own, so that one that crashes or hangs takes no other along; several at once.
tests() { # PATTERN: the tests whose names it matches; with a ! before it, the others
  local pattern=${1#!} but=() file test status=0 at_once
  [ "$1" = "$pattern" ] || but=(-v)
  at_once=$(($(nproc) / 4)); at_once=$((at_once < 1 ? 1 : at_once > 6 ? 6 : at_once)) # their oracles use processors too
  rm -rf "$work/tests" && mkdir "$work/tests"
  program device --list --ignored --format terse >"$work/listed" 2>&1
  sed -n 's/: test$//p' "$work/listed" | grep -E "${but[@]}" "$pattern" >"$work/list"
  [ -s "$work/list" ] || { echo "there are no such tests; the program says:"; cat "$work/listed"; return 1; }
  trap 'report_tests; report_unfinished; exit 124' TERM
  while read -r test; do
    while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n; report_tests; done
    one_test "$test" &
  done <"$work/list"
  wait
  report_tests
  for file in "$work"/tests/*.told; do [ "$(cat "$file")" = 0 ] || status=1; done
  return $status
}
one_test() { # TEST
  local file=$work/tests/${1//::/.}
  program device "$1" --exact --ignored --nocapture >"$file.txt" 2>&1 </dev/null
  echo $? >"$file.part" && mv "$file.part" "$file.status"
}
report_tests() { # those that have ended and are not yet told
  local file name status
  for file in "$work"/tests/*.status; do
    [ -e "$file" ] || continue
    status=$(cat "$file") name=$(basename "$file" .status)
    mv "$file" "${file%.status}.told"
    if [ "$status" = 0 ]; then
      echo "passed $name"
    else
      echo "FAILED $name, exit status $status"
    fi
    sed 's/^/    /' "${file%.status}.txt"
  done
}

report_unfinished() { # when the time is up
  local file
  for file in "$work"/tests/*.txt; do
    [ -e "${file%.txt}.told" ] || { echo "UNFINISHED $(basename "$file" .txt)"; sed 's/^/    /' "$file"; }
  done
}

step_cases() { tests '^cases::'; }
step_oracle() { tests '^(oracle|features)::'; }
step_crate() { tests '^(decode|gpu|models|nn)::'; }
step_kernels() { tests '!^(cases|oracle|features|decode|gpu|models|nn)::|::wrong_'; }
step_mutants() { tests '::wrong_'; }

# --- running -------------------------------------------------------------------------------------------------------------

# NAME SHARE WHAT. Shares are seconds of 480; what a step leaves of its own goes to those after it.
steps() {
  cat <<'END'
adapters          15  adapters, features, limits, and the machine
cases             45  acceptance cases: as the adapter is, within WebGPU's limits, with short bindings
G1_f16            20  bench G1, f16, matrix kernels included
G1_f32            20  bench G1, f32
G4_f16            12  bench G4, f16
G4_f32            12  bench G4, f32
P_f32             28  bench P1 to P7, f32
P_f16             28  bench P1 to P7, f16
layers_f32         8  linear layers and normalisation, f32
layers_f16         8  linear layers and normalisation, f16
layers_large_f16  12  a large linear layer and normalisation, f16
layers_large_f32  12  a large linear layer and normalisation, f32
pytorch           30  scaled_dot_product_attention of PyTorch beside the rows above
oracle            45  every kernel against the oracle, trusted and checked, and random combinations of features
G2_f16            20  bench G2, f16
G3_f16            25  bench G3, f16
G5_f16            12  bench G5, f16
host              10  what planning, binding and recording cost the host
kernels           40  the other tests of kernels: layers, masks, measures, comparisons, long sequences
crate             30  reuse of buffers, threads, lost devices, a growing cache, layers of networks, whole models
mutants           48  whether faults put into kernels are caught here too
END
}

# Runs a step within its time. Its functions need this shell, so it is this script again that runs under the limit.
limited() { # SECONDS NAME
  timeout -k 5 "$1" bash "$home/$(basename "${BASH_SOURCE[0]}")" --step "$2"
}

outcome() { # STATUS SECONDS-ALLOWED
  case $1 in
  0) echo passed ;;
  "$LEFT_OUT") echo "left out" ;;
  124 | 137) echo "cut off after $2 s" ;;
  *) echo "FAILED ($1)" ;;
  esac
}

run_all() {
  local start=$SECONDS name share shares=0 what limit status began failed=0
  : >"$out/log.txt"; : >"$work/table"
  while read -r name share what; do
    shares=$((shares + share)) began=$SECONDS
    limit=$((start + shares * total / 480 - began))
    echo "== $name: $what"
    if [ "$limit" -lt 1 ]; then
      echo "no time was left" >"$work/$name.txt"; status=$LEFT_OUT
    else
      limited "$limit" "$name" >"$work/$name.txt" 2>&1 </dev/null; status=$?
    fi
    case $status in 0 | "$LEFT_OUT") ;; *) failed=1 ;; esac
    echo "-- $(outcome $status "$limit"), $((SECONDS - began)) s"
    echo "$name|$(outcome $status "$limit")|$((SECONDS - began))|$what" >>"$work/table"
    { printf '\n== %s: %s\n' "$name" "$what"; cat "$work/$name.txt"; echo "-- $(outcome $status "$limit")"; } >>"$out/log.txt"
    cat "$work"/*.jsonl >"$out/bench.jsonl" 2>/dev/null
    page >"$out/README.md.part" && mv "$out/README.md.part" "$out/README.md"
  done < <(steps)
  return $failed
}

# --- the page ------------------------------------------------------------------------------------------------------------

fenced() { printf '```text\n'; cat; printf '```\n'; }

page() {
  local name result seconds what taken
  taken=$(sed -n 's/^taken\t//p' "$work/adapters.txt" 2>/dev/null | tr '\t' ' ')
  printf '# GPU day: %s\n\n' "${taken:-no adapter}"
  printf 'Measured %s by benches/gpu_day.sh, %s. ' "$(date -u +%F)" "$(cat "$home/BUILD" 2>/dev/null | paste -sd, | sed 's/,/, /g')"
  printf 'All that the programs printed is in log.txt, the rows of the bench with their plans in bench.jsonl.\n\n'
  printf '| step | outcome | s | what |\n|---|---|---|---|\n'
  while IFS='|' read -r name result seconds what; do
    if [ "$result" = "left out" ]; then result="left out: $(tail -1 "$work/$name.txt")"; fi
    printf '| %s | %s | %s | %s |\n' "$name" "$result" "$seconds" "$what"
  done <"$work/table"
  printf '\n## Tests\n\n'
  printf '%s passed, %s failed, %s unfinished\n' "$(told passed)" "$(told FAILED)" "$(told UNFINISHED)"
  if grep -q '^limits ' "$work"/*.txt; then
    printf '\n## Bench\n\n'
    { grep -h '^limits ' "$work"/*.txt | head -1; echo; bench_rows; } | fenced
  fi
  section pytorch "Beside PyTorch" && sed -n '/^PyTorch/,$p' "$work/pytorch.txt" | fenced
  section host "Host" && grep -vE '^$|^(Gnuplot|Warning|Benchmarking)' "$work/host.txt" | fenced
  failures
  printf '\n## The machine\n\n'
  sed -n '1,/^taken/p' "$work/adapters.txt" 2>/dev/null | grep -v '^  Limits' | fenced
}

told() { cat "$work"/*.txt | grep -c "^$1 "; }

section() { # STEP TITLE: its heading, if it ran
  grep -qE "^$1\|(passed|FAILED|cut)" "$work/table" && printf '\n## %s\n\n' "$2"
}

# The tables of all steps as one.
bench_rows() {
  cat "$work"/*.txt | grep -m1 '^shape '
  local name rest
  while IFS='|' read -r name rest; do
    grep -hE '^(P|G|L|N)[0-9LN]+ +(f16|f32) ' "$work/$name.txt"
  done <"$work/table"
}

# Every failure with its full message: of tests, those that failed; of other steps, all that they printed.
failures() {
  local name result rest
  grep -qE '\|(FAILED|cut)' "$work/table" || return 0
  printf '\n## Failures\n'
  while IFS='|' read -r name result rest; do
    case $result in FAILED* | cut*) ;; *) continue ;; esac
    printf '\n### %s: %s\n\n' "$name" "$result"
    if grep -q '^passed ' "$work/$name.txt"; then
      awk '/^passed /{ show = 0 } /^(FAILED|UNFINISHED) /{ show = 1 } show || !/^(passed |    )/' "$work/$name.txt"
    else
      cat "$work/$name.txt"
    fi | fenced
  done <"$work/table"
}

# --- arguments -----------------------------------------------------------------------------------------------------------

find_driver() { # a loader of our own where there is none; drivers where the loader does not look
  local manifests
  if [ -e "$home/lib/libvulkan.so.1" ] && ! ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1'; then
    export LD_LIBRARY_PATH=$home/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  fi
  if [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && ! program adapters 2>/dev/null | grep -q '^Vulkan'; then
    manifests=$(compgen -G '/usr/local/*/share/vulkan/icd.d/*.json' | paste -sd:)
    if [ -n "$manifests" ]; then export VK_DRIVER_FILES=$manifests; fi
  fi
}

main() {
  total=480 out=gpu_day_out runner=
  while [ $# -gt 0 ]; do
    case $1 in
    --pack) pack "${2:-$home/../target/gpu_day.tar.gz}"; return ;;
    --step) eval "$GPU_DAY_STATE"; step=$2; "step_$step"; return ;;
    --out | --seconds | --runner) [ $# -gt 1 ] || die "$1 needs a value" ;;& # and on to its own line
    --out) out=$2; shift 2 ;;
    --seconds) total=$2; shift 2 ;;
    --runner) runner=$2; shift 2 ;;
    *) sed -n '2,/^set /p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//'; die "no argument $1" ;;
    esac
  done
  [[ $total =~ ^[1-9][0-9]*$ ]] || die "--seconds $total is not a number of seconds above 0"
  [ -x "$home/bin/adapters" ] || die "there are no programs in $home/bin: pack a box with --pack, and run the script in it"
  command -v timeout >/dev/null || die "there is no timeout(1), which coreutils have"
  mkdir -p "$out" && out=$(cd "$out" && pwd) || die "$out cannot be made"
  work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT || die "there is no folder for temporary files"
  find_driver
  GPU_DAY_STATE=$(declare -p out work runner) && export GPU_DAY_STATE
  run_all
  local status=$?
  echo "== $SECONDS s; read $out/README.md"
  return $status
}
main "$@"
