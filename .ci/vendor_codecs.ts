/** What `task vendor` bundles for `examples/images`: decoders and encoders in plain JavaScript, no permission needed. */
export { decode as decodePng, encode as encodePng } from "npm:fast-png@8.0.0";
export { decode as decodeJpeg, encode as encodeJpeg } from "npm:jpeg-js@0.4.4";
