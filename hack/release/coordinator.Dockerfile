# The coordinator's image of a release, for who has a container engine:
#
#   make release && docker build -t rebound-coordinator -f build/release/coordinator.Dockerfile build/release
#
# The tarballs beside it are made without one, and are the same but for dates.
FROM scratch

ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG REVISION

LABEL org.opencontainers.image.source="https://github.com/talos-rebound/rebound" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MPL-2.0"

COPY --chmod=0755 rebound-coordinator-${TARGETOS}-${TARGETARCH} /rebound-coordinator

# It needs nothing of the machine that it runs on.
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/rebound-coordinator"]
