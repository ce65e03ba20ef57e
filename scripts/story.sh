#!/usr/bin/env bash
# The whole story, from drawings to a picture, as one script: data, image tokenizer, language model, diffusion decoder,
# model directory, scores, picture. The last steps of "emoji" were tried one by one, not yet in one go (docs/log.md).
#
#   scripts/story.sh PICTURES DIR [OPTION …]   your own pictures: lantu make does it all, and takes the options
#   scripts/story.sh debug DIR                 a minute on two CPU cores; the pictures are not worth looking at
#   scripts/story.sh emoji DIR                 like the shipped model: about sixteen hours of CPU cores
#   scripts/story.sh common DIR MODEL          teaches that model 148 more things, and 256 px
#
# The shipped model is no folder of pictures: its scenes are composed, and after drawing it learns guidance, editing,
# conversation and control. So the last two call the single commands. A killed run goes on where it stopped when the
# script is called again.
set -euo pipefail
size=${1:?a folder of pictures, debug or emoji}
out=${2:?a folder}
lantu=${LANTU:-"$(dirname -- "$0")/../run"}
if [[ $size != debug && $size != emoji && -e $size ]]; then
    exec $lantu make "$size" --out "$out/model" --work "$out" "${@:3}"
fi
if [[ $size == common ]]; then start=${3:?a model to begin with, made by: scripts/story.sh emoji}; fi
mkdir -p "$out"

# train PART DIR …: begin a run, or go on with the one that is there.
train() {
    local part=$1 run=$2 further=()
    shift 2
    [[ ! -e $run/config.json ]] || further=(--resume)
    $lantu train "$part" --out "$run" "${further[@]}" "$@"
}

case $size in
    debug) data=(--train 400 --val 50 --heldout 50 --size 32) scenes=() ;;
    emoji) data=(--train 80000) scenes=(--styles noto,fluent-3d,fluent-flat,twemoji) ;;
    common) data=(--train 80000) scenes=(--styles noto,fluent-3d,fluent-flat,twemoji --world common) ;;
    *) echo "story: no folder and no size called $size: debug, emoji or common" >&2; exit 2 ;;
esac

# abilities LANGUAGE DECODER: guidance in one row, a decoder of four steps, all that is not drawing, and a
# picture of lines, boxes or colours that steers both.
abilities() {
    local language_start=$1 decoder_start=$2 exercises=() guidance=() mixture=()
    if [[ $size == common ]]; then
        guidance=(--set loop.steps=700 --set single=0.25 --set counted=0.25 --set named=0.4)
        mixture=(--set single=0.25 --set counted=0.15 --set named=0.4)
    else
        exercises=(--set added=3)
    fi
    train language "$out/language-3" --recipe guidance_distillation "${parts[@]}" --start "$language_start" "${guidance[@]}"
    train decoder "$out/decoder-3" --recipe distribution_matching "${parts[@]}" --start "$decoder_start"
    $lantu data build emoji --out "$out/edits" --edits 15000 --train 100 --val 20 --heldout 20 "${scenes[@]}"
    local more=("${parts[@]}" --set "edits=$out/edits" --set "teacher=$out/language-3")
    train language "$out/language-4" --recipe exercises "${more[@]}" --start "$out/language-3" "${exercises[@]}"
    train language "$out/language-5" --recipe multitask "${more[@]}" --start "$out/language-4" "${mixture[@]}"
    train control "$out/control" "${parts[@]}" --start "$out/decoder-3"
    train control "$out/control-2" --recipe further "${parts[@]}" --start "$out/decoder-3" --set "control=$out/control"
    language=$out/language-5 decoder=$out/decoder-3 others=(--control "$out/control-2")
    settings=(--set guidance=1.5 --set temperature=0.3 --set top_k=100 --set steps=4 --set sampler=consistency --set num_draft_tokens=4)
}

# The emoji tokenizer's codes are fixed at its start, so tokenizer, language model and decoder could also be trained at
# the same time, each on a machine of its own.
parts=(--data "$out/data" --tokenizer "$out/tokenizer")
$lantu data build emoji --out "$out/data" "${scenes[@]}" "${data[@]}"
$lantu data inspect "$out/data" --sheet "$out/data.png"
if [[ $size == common ]]; then
    # Old codes, words and drawings stay; new codes begin as the old ones nearest to them.
    train tokenizer "$out/tokenizer" --recipe emoji --data "$out/data" --start "$start" --set model.codebook_size=6144 --set loop.steps=300 --set loop.warmup_steps=20
    train language "$out/language" --recipe further "${parts[@]}" --start "$start" --set loop.batch_size=48 --set loop.steps=2500 --set loop.lr=1.5e-3
    # A thing alone has more codes than one of two, few codes depend on a style, and only captions of several things have
    # plurals: these are learnt last.
    further=(--recipe further "${parts[@]}" --set loop.batch_size=48 --set captioning=0.15)
    train language "$out/language-1" "${further[@]}" --start "$out/language" --set loop.steps=3000 --set loop.lr=1.5e-3 --set single=0.45 --set named=0.5
    train language "$out/language-2" "${further[@]}" --start "$out/language-1" --set loop.steps=2700 --set single=0.25 --set counted=0.25 --set named=0.35
    train decoder "$out/decoder" --recipe further "${parts[@]}" --start "$start" --set loop.steps=3000
    train decoder "$out/decoder-2" --recipe further "${parts[@]}" --start "$out/decoder" --set loop.steps=4000
    abilities "$out/language-2" "$out/decoder-2"
    $lantu data build emoji --out "$out/large" --size 256 --train 8000 --val 300 --heldout 300 "${scenes[@]}"
    train upscaler "$out/upscaler" --data "$out/large" --tokenizer "$out/tokenizer" --start "$decoder"
    others+=(--upscaler "$out/upscaler")
else
    train tokenizer "$out/tokenizer" --recipe "$size" --data "$out/data"
    train language "$out/language" --recipe "$size" "${parts[@]}"
    train decoder "$out/decoder" --recipe "$size" "${parts[@]}"
    language=$out/language decoder=$out/decoder others=()
    settings=(--set guidance=1.5 --set temperature=0.3 --set steps=2)
fi
if [[ $size == emoji ]]; then
    # The second half, which could as well begin from a model that was fetched.
    train language "$out/language-2" --recipe further "${parts[@]}" --start "$language"
    train decoder "$out/decoder-2" --recipe further "${parts[@]}" --start "$decoder"
    abilities "$out/language-2" "$out/decoder-2"
fi
$lantu assemble "${settings[@]}" --tokenizer "$out/tokenizer" --language "$language" --decoder "$decoder" "${others[@]}" --data "$out/data" --out "$out/model"
$lantu draw "左边一只猫，右边一只狗" --model "$out/model" --seed 7 --output "$out/picture.png"
if [[ $size != debug ]]; then
    $lantu eval --model "$out/model" --data "$out/data" --seed 1 --limit 128 --out "$out/scores"
fi
