"""What training, calibration and export share with the device: manifest, preprocessing, descriptors, errors."""
