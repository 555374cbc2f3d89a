#!/usr/bin/env bash
# Starts a real SLURM on this machine: munge, a controller and one node, on loopback, without systemd and without a database.
# As root. To be installed before, on Debian: apt-get install slurm-wlm munge
#
#   tests/launch/start_slurm.sh FOLDER          then: export SLURM_CONF=FOLDER/slurm.conf
#   tests/launch/start_slurm.sh --stop FOLDER
set -euo pipefail

stop() {
  for daemon in slurmd slurmctld munged; do
    [ -s "$1/$daemon.pid" ] && kill "$(cat "$1/$daemon.pid")" 2>/dev/null && echo "stopped $daemon" || true
  done
}

if [ "${1:-}" = --stop ]; then
  stop "$2"
  exit
fi

folder=$(realpath -m "${1:?start_slurm.sh FOLDER}")
for program in munged slurmctld slurmd sbatch srun; do
  PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || { echo "$program is not installed: apt-get install slurm-wlm munge"; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "SLURM's daemons want root"; exit 1; }
PATH=$PATH:/usr/sbin
mkdir -p "$folder"/{state,spool}
host=$(hostname -s)
cores=$(nproc)

# A munge of its own, if none answers: with the machine's key, or a new one.
if ! munge -n </dev/null >/dev/null 2>&1; then
  [ -s /etc/munge/munge.key ] || mungekey --create
  mkdir -p /run/munge
  chown munge: /run/munge
  touch "$folder/munged.pid"
  chown munge: "$folder/munged.pid"
  su -s /bin/sh munge -c "munged --force" 2>/dev/null || runuser -u munge -- munged --force
  cp /run/munge/munged.pid "$folder/munged.pid"
fi

controller_port=${SLURM_TEST_PORT:-16817}
cat >"$folder/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller_port
SlurmdPort=$((controller_port + 1))
SlurmUser=root
SlurmdUser=root
# What is requeued waits until its credentials have expired: two minutes by default.
AuthType=auth/munge
AuthInfo=cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=1000
PartitionName=work Nodes=$host Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=$host MaxTime=INFINITE State=UP PriorityTier=2
CONF
export SLURM_CONF="$folder/slurm.conf"
slurmctld -c
slurmd -c
for _ in $(seq 60); do
  if [ "$(sinfo -h -p work -o %t 2>/dev/null)" = idle ]; then
    echo "export SLURM_CONF=$SLURM_CONF"
    exit
  fi
  sleep 1
done
echo "the node did not come up: see $folder/*.log"
sinfo || true
stop "$folder"
exit 1
