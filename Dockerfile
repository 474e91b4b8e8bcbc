# One image for agents and for the orchestrator; docs/deploy.md says how to run it and what it weighs.

FROM python:3.11-slim AS libraries

RUN apt-get update && apt-get install --yes --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY constraints.txt pyproject.toml setup.cfg ./
COPY priomon_core/__init__.py priomon_core/
ARG PIP_INDEX_URL
RUN python -m venv --without-pip /opt/priomon \
 && python -m pip --python /opt/priomon/bin/python install --no-cache-dir --no-compile --constraint constraints.txt '.[node,sim-plain]'
# What no run reads. The libraries in *.libs keep their symbols, because strip breaks those whose headers the wheel's maker moved.
RUN cd /opt/priomon/lib/python3.11/site-packages \
 && rm -r pip pip-*.dist-info priomon_core \
 && find . -depth -type d -name tests -exec rm -r {} + \
 && find . -type f -regex '.*\.\(a\|c\|cpp\|h\|hpp\|pxd\|pyi\|pyx\)' -delete \
 && find . -type f -name '*.so*' -not -path '*.libs/*' -exec strip --strip-unneeded {} +

FROM python:3.11-slim

ENV PATH=/opt/priomon/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/priomon \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/var/cache/priomon
# The folders are there for volumes, which take over the owner of the folder they cover.
RUN useradd --uid 10001 priomon \
 && mkdir --mode 777 /var/cache/priomon \
 && install --directory --owner priomon /etc/priomon /var/lib/priomon
WORKDIR /priomon
COPY --from=libraries /opt/priomon /opt/priomon
COPY . .
# A run shows that nothing is missing, and leaves a list of fonts.
RUN python -m priomon_sim scenarios/quick.yaml --output /tmp/quick --quiet \
 && rm -r /tmp/quick && chmod -R a+rwX /var/cache/priomon

USER 10001
EXPOSE 7946/udp 7947
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --retries=3 CMD ["python", "-m", "priomon_node", "healthcheck"]
ENTRYPOINT ["python", "-m", "priomon_node"]
CMD ["run"]
