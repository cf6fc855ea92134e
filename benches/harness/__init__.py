"""What every scenario shares: private servers, workers, measurement, statistics and the results
file.
"""
