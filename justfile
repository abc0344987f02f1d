# What developers run. `just` alone lists it; .ci/run is what CI runs.

# Lists what there is.
default:
    @just --list

# What goes wrong most often: format, lints, unit tests, conversations, publishing checks, rules of the source.
quick:
    cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets -- -D warnings
    cargo test --locked --lib
    cargo test --locked --test engine -- golden:: checks::
    cargo test --locked --test docs -- tidy::

# The admin page: types, units, and what is committed of it.
page:
    cd ui && npm ci --no-audit --no-fund && npm run check && npm run test && npm run build

# All tests.
test:
    cargo test --locked

# Everything that must hold before a change lands.
ci:
    .ci/run
