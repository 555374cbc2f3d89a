#!/usr/bin/env bash
# One training on a slice of TPUs, on all of its hosts; from the repository's root, with gcloud logged in.
#
#   export TPU=NAME ZONE=us-west4-a TYPE=v5litepod-16 SHARED=10.0.0.2:/share
#   launch/tpu.sh create                     # SPOT=1: cheaper, and may be taken away
#   launch/tpu.sh install                    # copies the working tree, mounts SHARED at /shared, installs
#   launch/tpu.sh train configs/resnet_imagenet.py --run /shared/runs/resnet50 --config.model.dtype=bfloat16
#   launch/tpu.sh stop                       # it saves; `train` again goes on
#   launch/tpu.sh delete
#
# SHARED is an NFS export that the hosts reach: the run's folder must be one for all. A training that a host was lost of, or that
# was told to stop by the machine's maintenance, ends with status 75, and is started again; where the slice itself was taken
# away, it is made and installed anew first.
set -euo pipefail

: "${TPU:?its name}" "${ZONE:?where it is}"
EXIT_INTERRUPTED=75
software=${SOFTWARE:-tpu-ubuntu2204-base}

slice() { gcloud compute tpus tpu-vm "$1" "$TPU" --zone="$ZONE" "${@:2}"; }
everywhere() { slice ssh --worker=all --command="$1"; }
state() { slice describe --format='value(state)' 2>/dev/null || echo NONE; }

create() { slice create --accelerator-type="${TYPE:?e.g. v5litepod-16}" --version="$software" ${SPOT:+--spot}; }

install() {
  local archive
  archive=$(mktemp)
  git ls-files -z | tar --null -czf "$archive" -T -
  slice scp "$archive" "$TPU:cnnjax.tar.gz" --worker=all
  rm "$archive"
  everywhere "set -e
    sudo apt-get install -qq -y nfs-common python3-venv
    sudo mkdir -p /shared; mountpoint -q /shared || sudo mount -t nfs '${SHARED:?HOST:/EXPORT}' /shared
    mkdir -p cnnjax; tar -xzf cnnjax.tar.gz -C cnnjax; cd cnnjax
    python3 -m venv .venv; .venv/bin/pip install -q -c launch/constraints.txt -e '.[tpu]'"
}

train() {
  local words status stopped
  words=$(printf '%q ' "$@")
  everywhere "rm -f cnnjax/stopped"
  while true; do
    # Each host finds the others through the slice; process 0, on host 0, keeps the records. What gcloud makes of statuses of
    # several hosts is its own affair: they are left in a file. One that went on though the connection was lost is waited for.
    everywhere "cd cnnjax; [ ! -e pid ] || tail --pid=\$(cat pid) -f /dev/null; rm -f status
      .venv/bin/cnnjax train $words & echo \$! > pid; wait \$!; echo \$? > status; rm pid" || true
    read -r status stopped <<<"$(slice ssh --worker=0 --command="cat cnnjax/status cnnjax/stopped 2>/dev/null" | tr '\n' ' ')"
    if [ "$status" = "$EXIT_INTERRUPTED" ] && [ -z "$stopped" ]; then
      echo "host 0 was told to stop, or another one was lost: again"
    elif [ -n "$status" ]; then
      return "$status"
    fi
    if [ "$(state)" != READY ]; then
      echo "the slice is gone: a new one"
      slice delete --quiet || true
      create
      install
    fi
    sleep "${PAUSE:-30}"
  done
}

stop() { everywhere "echo stopped > cnnjax/stopped; kill -TERM \$(cat cnnjax/pid)"; }
delete() { slice delete --quiet; }

case ${1:-} in
  create | install | train | stop | delete) "$@" ;;
  *) sed -n '2,/^set/{/^#/p}' "$0"; exit 2 ;;
esac
