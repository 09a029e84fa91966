"""A program instrumented with the OpenTelemetry SDK, for the tests.

    otel_client.py protobuf|json

Sends a trace of three spans, the innermost of which failed, and prints the trace's ID. Where to, with which key and
whether packed comes from OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS and OTEL_EXPORTER_OTLP_COMPRESSION
alone. Exits 1 when the export was not taken.

The SDK's own exporter speaks protobuf only; for JSON its spans are encoded as OTLP has it, IDs in hex.
"""

import base64
import gzip
import json
import os
import sys

import requests
from google.protobuf.json_format import MessageToDict
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.util.re import parse_env_headers

ID_FIELDS = {"traceId", "spanId", "parentSpanId"}


def with_hex_ids(value):
    """protobuf's JSON has bytes in base64; OTLP's has IDs in hex."""
    if isinstance(value, list):
        return [with_hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(item).hex() if key in ID_FIELDS else with_hex_ids(item)
        for key, item in value.items()
    }


class JsonExporter(SpanExporter):
    def export(self, spans):
        body = json.dumps(with_hex_ids(MessageToDict(encode_spans(spans)))).encode()
        headers = parse_env_headers(os.environ["OTEL_EXPORTER_OTLP_HEADERS"], liberal=True)
        headers["content-type"] = "application/json"
        if os.environ.get("OTEL_EXPORTER_OTLP_COMPRESSION") == "gzip":
            headers["content-encoding"] = "gzip"
            body = gzip.compress(body)
        url = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces"
        answer = requests.post(url, body, headers=headers, timeout=10)
        return SpanExportResult.SUCCESS if answer.ok else SpanExportResult.FAILURE


class Watched(SpanExporter):
    """Remembers whether everything was taken: the SDK only logs it."""

    def __init__(self, exporter):
        self.exporter = exporter
        self.results = []

    def export(self, spans):
        self.results.append(self.exporter.export(spans))
        return self.results[-1]

    def shutdown(self):
        self.exporter.shutdown()


def upload(tracer):
    with tracer.start_as_current_span("POST /documents", kind=trace.SpanKind.SERVER) as root:
        root.set_attribute("url.path", "/documents")
        root.set_attribute("document.pages", 40)
        with tracer.start_as_current_span("convert document"):
            try:
                with tracer.start_as_current_span("extract text"):
                    raise ValueError("PDF is encrypted")
            except ValueError:
                root.set_status(trace.StatusCode.ERROR, "the document did not process")
        return root.get_span_context().trace_id


def main():
    exporter = Watched(OTLPSpanExporter() if sys.argv[1] == "protobuf" else JsonExporter())
    provider = TracerProvider(resource=Resource.create({"service.name": "documents"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace_id = upload(provider.get_tracer("documents", "1.0"))
    provider.shutdown()
    print(f"{trace_id:032x}")
    is_taken = exporter.results and all(r is SpanExportResult.SUCCESS for r in exporter.results)
    sys.exit(0 if is_taken else 1)


main()
