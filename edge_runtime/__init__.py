"""The daemon beside the camera: camera -> people -> engine -> descriptors -> broker, and the contract all parts share."""
