"""A program instrumented with the stock OpenTelemetry SDK: a chat request over documents whose model provider fails.

    failing_chat.py

Exports as the OTEL_EXPORTER_OTLP_* variables say, waits until the exporter was answered, and prints what the user of
the product would see: the failure message and its trace ID. The spans get the times that such a request takes in
production, so that nobody waits for them here.
"""

import time
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

TOOK_MS = 6412
START_NS = time.time_ns() - TOOK_MS * 1_000_000


class ProviderOverloaded(Exception):
    __module__ = "model_gateway.errors"


def service(name, version):
    resource = {"service.name": name, "service.version": version, "deployment.environment.name": "production"}
    provider = TracerProvider(resource=Resource.create(resource))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


providers = {
    "web": service("web", "2026.11.3"),
    "chat-api": service("chat-api", "8.41.0"),
    "retrieval": service("retrieval", "3.9.2"),
    "model-gateway": service("model-gateway", "5.2.1"),
}


@contextmanager
def span(service, name, at_ms, took_ms, kind=SpanKind.INTERNAL, **attributes):
    """A span of `service` as the current one; an exception that leaves it is recorded."""
    tracer = providers[service].get_tracer(f"{service.replace('-', '_')}.tracing", "1.4.0")
    start = START_NS + int(at_ms * 1e6)
    attributes = {key.replace("__", "."): value for key, value in attributes.items()}
    with tracer.start_as_current_span(
        name, kind=kind, start_time=start, attributes=attributes, end_on_exit=False, record_exception=False
    ) as current:
        try:
            yield current
        except Exception as error:
            current.record_exception(error, timestamp=start + int(took_ms * 1e6))
            current.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            raise
        finally:
            current.end(end_time=start + int(took_ms * 1e6))


def leaf(*arguments, **attributes):
    with span(*arguments, **attributes):
        pass


def retrieve():
    with span("chat-api", "retrieve documents", 11.9, 388):
        with span("retrieval", "POST /search", 14.2, 381, SpanKind.SERVER, http__response__status_code=200):
            leaf("retrieval", "embed query", 15, 118, SpanKind.CLIENT, gen_ai__operation__name="embeddings")
            leaf("retrieval", "SELECT chunks", 135, 196, SpanKind.CLIENT, db__system__name="postgresql")
            leaf("retrieval", "rerank", 336, 57)


def ask_provider(at_ms, took_ms):
    model = {"gen_ai__operation__name": "chat", "gen_ai__provider__name": "example", "gen_ai__request__model": "large-2"}
    with span("model-gateway", "chat large-2", at_ms, took_ms, SpanKind.CLIENT, http__response__status_code=529, **model):
        raise ProviderOverloaded("529 overloaded_error: the model is temporarily overloaded")


def complete():
    with span("model-gateway", "POST /v1/complete", 412.6, 5940, SpanKind.SERVER, http__response__status_code=502):
        leaf("model-gateway", "route model", 413, 0.18)
        try:
            ask_provider(413.9, 2870)
        except ProviderOverloaded:
            leaf("model-gateway", "backoff", 3284.5, 1000)
        ask_provider(4285.1, 2062)


def answer():
    with span("chat-api", "POST /api/chat/messages", 4.1, 6404, SpanKind.SERVER, http__response__status_code=502, url__path="/chat/8812"):
        leaf("chat-api", "load session", 4.8, 2.3)
        leaf("chat-api", "check quota", 7.4, 3.8)
        retrieve()
        leaf("chat-api", "build prompt", 401, 9.4)
        complete()


def main():
    with span("web", "send message", 0, TOOK_MS, SpanKind.CLIENT) as root:
        trace_id = trace.format_trace_id(root.get_span_context().trace_id)
        try:
            answer()
        except ProviderOverloaded as error:
            root.set_status(Status(StatusCode.ERROR, str(error)))
    for provider in providers.values():
        provider.shutdown()
    print(f"The chat did not answer. Trace ID: {trace_id}")


main()
