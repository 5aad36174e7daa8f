#!/usr/bin/env bash
# Trains one stage of the compact model for some minutes on a machine without
# network (README.md beside this says what to bring there):
#
#   STAGE=vocoder MINUTES=8 DATA=/tmp/data OUT=out recipes/Compact/on_gpu.sh
#
# STAGE    ssl, pa or vocoder; none: only unpack and install
# MINUTES  of training; starting, the last validation and export come on top
# DATA     folder for the unpacked data pack
# OUT      gets what was trained, in half precision: the files of MODEL that are
#          to be replaced, and log.txt
# MODEL    what to go on from (default: miipher2/pretrained/compact)
# PACK     folder with pieces to unpack into DATA
# WHEELS   folder with packages to install into SITE
# SITE     (default: /tmp/site)
# RUN      checkpoints; where they are, the run goes on (default: results/STAGE)
#
# All else on the command line goes to train.py: --batch_size=32
set -euo pipefail
cd "$(dirname "$0")/../.."
STAGE=${STAGE:-none}
MODEL=${MODEL:-miipher2/pretrained/compact}
SITE=${SITE:-/tmp/site}
RUN=${RUN:-results/$STAGE}
: "${DATA:?give DATA=FOLDER}"

mkdir -p "$DATA"
for piece in ${PACK:+"$PACK"/piece_*.tar}; do
    tar -xf "$piece" -C "$DATA"
done
if [ -n "${WHEELS:-}" ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --upgrade \
        --target "$SITE" "$WHEELS"/*.whl
fi
export PYTHONPATH="$SITE${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # the workers take all cores

case $STAGE in
none) exit ;;
ssl) own=backbone arguments=() ;;
pa) own=cleaner.safetensors arguments=(--ssl_source="$MODEL/backbone") ;;
vocoder)
    own=vocoder.safetensors
    arguments=(--ssl_source="$MODEL/backbone" --cleaner_folder="$MODEL"
        --export_half=True)
    ;;
*) echo "error: STAGE=$STAGE: give ssl, pa, vocoder or none" >&2 && exit 2 ;;
esac
: "${MINUTES:?give MINUTES=NUMBER}" "${OUT:?give OUT=FOLDER}"
if [ -e "$MODEL/$own" ]; then
    arguments+=(--start_folder="$MODEL")
    if [ "$STAGE" = ssl ]; then # its convolutions have learned what they can
        arguments+=(--front_end_steps=0)
    fi
fi
for name in train valid test noise rir; do
    arguments+=("--${name}_csv=$DATA/$name.csv")
done
python3 train.py "hparams/$STAGE.yaml" "@hparams/compact/$STAGE.args" \
    --data_folder="$DATA" --noise_folder="$DATA" --rir_folder="$DATA" \
    --skip_prep=True --valid_noise_csv="$DATA/noise_valid.csv" \
    --valid_rir_csv="$DATA/rir_valid.csv" "${arguments[@]}" \
    --num_workers="$(nproc)" --minutes="$MINUTES" --output_folder="$RUN" \
    --noprogressbar "$@"

case $STAGE in
ssl) mkdir -p "$OUT/backbone" && cp "$RUN"/model/* "$OUT/backbone" ;;
pa) mkdir -p "$OUT" && cp "$RUN/model/$own" "$OUT" ;;
vocoder) mkdir -p "$OUT" && cp -r "$RUN"/model/. "$OUT" ;;
esac
{
    echo "$STAGE, $MINUTES minutes"
    cat "$RUN/train_log.txt"
} >>"$OUT/log.txt"
python3 -c "import sys, miipher2.models.weights as w; w.halve(sys.argv[1])" "$OUT"
find "$OUT" -type f -exec du -h --apparent-size {} +
