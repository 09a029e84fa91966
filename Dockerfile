# syntax=docker/dockerfile:1
# tracedesk alone, for a Postgres of its own beside it: see docker-compose.yml.
#
#   docker build -t tracedesk .

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# The test target is named in Cargo.toml, so its file must be there; tests are not part of the image.
RUN mkdir -p tests/it && touch tests/it/main.rs
# Crates and what was compiled of them stay in the builder's cache: a change of ours builds only ours.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    SQLX_OFFLINE=true cargo build --release --locked --bin tracedesk \
    && cp target/release/tracedesk /tracedesk

FROM debian:bookworm-slim
# Roots of trust for TLS to Postgres and to the mail server.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/tracedesk --create-home --shell /usr/sbin/nologin tracedesk
COPY --from=build /tracedesk /usr/local/bin/tracedesk
USER 10001
ENV TRACEDESK_LISTEN=0.0.0.0:8080 \
    TRACEDESK_DATA_DIR=/var/lib/tracedesk
VOLUME /var/lib/tracedesk
EXPOSE 8080
STOPSIGNAL SIGTERM
# bash can speak HTTP well enough for this, so the image needs no client.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["tracedesk"]
CMD ["serve"]
