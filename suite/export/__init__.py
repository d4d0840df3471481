"""Any torch module as an ONNX graph in the form that a runtime runs best, what such a graph holds, and who runs it."""
