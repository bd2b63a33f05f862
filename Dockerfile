# The benchmark in a container, without CUDA:
#
#   docker build -t ecqx .
#   docker run --rm -v "$PWD/results:/ecqx/results" ecqx
#
# What follows the name of the image goes to Snakemake: `--configfile config/smoke.yaml`, `tables` ...
# With CUDA: `docker build --build-arg CPU= -t ecqx .`, and `docker run --gpus all ...`.
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ git make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /ecqx
COPY requirements.lock Makefile ./
ARG CPU=1
RUN PIP_EXTRA_INDEX_URL=${CPU:+https://download.pytorch.org/whl/cpu} PIP_NO_CACHE_DIR=1 \
    make .venv/.installed CPU=${CPU}
COPY . .
# of the files as they were copied, whoever runs the container
RUN git config --system --add safe.directory /ecqx
ENV HOME=/tmp PATH=/ecqx/.venv/bin:$PATH
ENTRYPOINT ["snakemake", "--cores", "all"]
