"""Certificates for device keys: a small CA, the bootstrap protocol, its client and a simulator server.

The protocol is that of Linaro's lite_bootstrap_server: REST over mutual TLS, CBOR or JSON. The
simulator listens on the loopback interface only and lives as long as its context.
"""
