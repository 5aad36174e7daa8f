#!/usr/bin/env bash
# Train one stage of a released model for a few minutes, offline.
# README.md in this folder lists the requirements.
#
#   STAGE=vocoder MINUTES=8 DATA=/tmp/data OUT=out recipes/Compact/on_gpu.sh
#
# RECIPE     compact or whisper24 (default: compact)
# STAGE      ssl (compact only), pa or vocoder; none (default): only unpack and
#            install
# MINUTES    minutes of training, excluding startup, last validation and export
# DATA       folder of the unpacked data
# OUT        output folder for log.txt and the trained files in half precision,
#            which can replace the files in miipher2/pretrained/RECIPE
# MODEL      model to start from (default: miipher2/pretrained/RECIPE)
# TRAIN_CSV  manifest of training speech (default: DATA/train.csv)
# PACK       folder of archives to unpack into DATA (default: none)
# WHEELS     folder of wheels to install into SITE (default: none)
# SITE       folder of installed packages (default: /tmp/site)
# WORKERS    data loading processes (default: one per core)
# RUN        folder of the checkpoints, from which a later call resumes
#            (default: results/RECIPE/STAGE)
#
# Further arguments are passed to train.py, for example --batch_size=32.
set -euo pipefail
cd "$(dirname "$0")/../.."
STAGE=${STAGE:-none}
RECIPE=${RECIPE:-compact}
MODEL=${MODEL:-miipher2/pretrained/$RECIPE}
SITE=${SITE:-/tmp/site}
RUN=${RUN:-results/$RECIPE/$STAGE}
: "${DATA:?set DATA=FOLDER}"

mkdir -p "$DATA"
for piece in ${PACK:+"$PACK"/piece_*.tar}; do
    tar -xf "$piece" -C "$DATA"
done
if [ -n "${WHEELS:-}" ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --upgrade \
        --target "$SITE" "$WHEELS"/*.whl
fi
export PYTHONPATH="$SITE${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # one thread per process

if [ ! -e "hparams/$RECIPE/$STAGE.yaml" ] && [ "$STAGE" != none ]; then
    echo "error: no hparams/$RECIPE/$STAGE.yaml: expected RECIPE compact or" \
        "whisper24, and STAGE ssl (compact only), pa, vocoder or none" >&2
    exit 2
fi
case $STAGE in
none) exit ;;
ssl) trained=backbone paths=() ;;
pa) trained=cleaner.safetensors paths=(--ssl_source="$MODEL/backbone") ;;
vocoder)
    trained=vocoder.safetensors
    paths=(--ssl_source="$MODEL/backbone" --cleaner_folder="$MODEL")
    ;;
esac
: "${MINUTES:?set MINUTES=NUMBER}" "${OUT:?set OUT=FOLDER}"
if [ -e "$MODEL/$trained" ]; then
    paths+=(--start_folder="$MODEL")
    if [ "$STAGE" = ssl ]; then # the convolutions are already trained
        paths+=(--front_end_steps=0)
    fi
fi
python3 train.py "hparams/$RECIPE/$STAGE.yaml" \
    --data_folder="$DATA" --noise_folder="$DATA" --rir_folder="$DATA" \
    --skip_prep=True --train_csv="${TRAIN_CSV:-$DATA/train.csv}" \
    --valid_csv="$DATA/valid.csv" --test_csv="$DATA/test.csv" \
    --noise_csv="$DATA/noise.csv" --valid_noise_csv="$DATA/noise_valid.csv" \
    --rir_csv="$DATA/rir.csv" --valid_rir_csv="$DATA/rir_valid.csv" \
    "${paths[@]}" --output_folder="$RUN" --minutes="$MINUTES" \
    --num_workers="${WORKERS:-$(nproc)}" --noprogressbar "$@"

case $STAGE in
ssl) mkdir -p "$OUT/backbone" && cp "$RUN"/model/* "$OUT/backbone" ;;
pa) mkdir -p "$OUT" && cp "$RUN/model/$trained" "$OUT" ;;
vocoder) mkdir -p "$OUT" && cp -r "$RUN"/model/. "$OUT" ;;
esac
{
    echo "$STAGE, $MINUTES minutes"
    cat "$RUN/train_log.txt"
} >>"$OUT/log.txt"
python3 - "$OUT" <<'EOF'
import sys
from pathlib import Path
from miipher2.models.shards import split_weights
from miipher2.models.weights import halve

MAX_BYTES = 18_000_000  # per file of the backbone

halve(sys.argv[1])
weights = Path(sys.argv[1], "backbone/model.safetensors")
if weights.exists() and weights.stat().st_size > MAX_BYTES:
    split_weights(weights.parent, MAX_BYTES)
EOF
find "$OUT" -type f -exec du -h --apparent-size {} +
