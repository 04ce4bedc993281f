# Ascend: CHIP=910b to train, CHIP=310p to convert models to OM and to run them. Driver and devices are the host's.
#   docker build -f docker/ascend.Dockerfile --build-arg CHIP=910b -t resnet-zoo:910b .
#   docker build -f docker/ascend.Dockerfile --build-arg CHIP=310p -t resnet-zoo:310p .
# How they are run: docs/doctor.md. CANN must be one that MindSpore accepts and the host's driver goes with (there too).
ARG CHIP=910b
ARG CANN=9.0.0
FROM quay.io/ascend/cann:${CANN}-${CHIP}-ubuntu22.04-py3.11

# The image's own user need not be root.
# hadolint ignore=DL3002
USER 0
# What the C++ programs are built with (scripts/setup_cpp.sh). Ubuntu keeps one version of each per release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        cmake g++ libjpeg-dev libpng-dev libtiff-dev libwebp-dev make nlohmann-json3-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/resnet-zoo
COPY requirements.txt requirements-dev.txt ./
COPY scripts scripts
ENV UV_CACHE_DIR=/tmp/uv
RUN PYTHON="$(command -v python3)" bash scripts/setup_env.sh && rm -rf /tmp/uv
COPY . .
# With CANN's environment, so that the programs get the backend for .om; the group is the host driver's.
RUN bash docker/with_cann.sh bash scripts/build_infer.sh \
    && (getent group HwHiAiUser || groupadd --gid 1000 HwHiAiUser) \
    && useradd --create-home --uid 1001 --groups HwHiAiUser zoo && mkdir -p outputs && chown zoo outputs
USER 1001
ENV PATH=/opt/resnet-zoo/.venv/bin:$PATH
ENTRYPOINT ["bash", "/opt/resnet-zoo/docker/with_cann.sh"]
CMD ["python", "-m", "src.doctor", "--platform", "Ascend"]
