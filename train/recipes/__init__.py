"""One flat file per paper and data set; ablation rows are named variants at its foot."""
