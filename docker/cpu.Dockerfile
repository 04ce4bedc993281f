# Training, evaluation and export on CPUs, and the C++ programs.
#   docker build -f docker/cpu.Dockerfile -t resnet-zoo:cpu .
#   docker run --rm --shm-size=1g -v "$PWD/photos:/data:ro" -v "$PWD/outputs:/opt/resnet-zoo/outputs" resnet-zoo:cpu \
#     python train.py --config_path configs/quickstart.yaml --data_dir /data
FROM python:3.11-slim-bookworm

# What the C++ programs are built with (scripts/setup_cpp.sh). Debian keeps one version of each per release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        cmake g++ libjpeg-dev libpng-dev libtiff-dev libwebp-dev make nlohmann-json3-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/resnet-zoo
COPY requirements.txt requirements-dev.txt ./
COPY scripts scripts
ENV UV_CACHE_DIR=/tmp/uv
RUN bash scripts/setup_env.sh && rm -rf /tmp/uv
COPY . .
RUN bash scripts/build_infer.sh && useradd --create-home --uid 1001 zoo && mkdir -p outputs && chown zoo outputs
USER 1001
ENV PATH=/opt/resnet-zoo/.venv/bin:$PATH
CMD ["python", "-m", "src.doctor", "--platform", "CPU"]
