"""The data path of full-size training: what is shown, decoded, resized and rasterised, each in a module of its own."""
