"""Certificates for device keys: a small CA, the bootstrap protocol, its client and a stand-in server.

The protocol is that of Linaro's lite_bootstrap_server: REST over mutual TLS, CBOR or JSON. The
stand-in listens on the loopback interface only and lives as long as its context.
"""
