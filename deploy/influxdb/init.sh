#!/bin/bash
# Runs once, in InfluxDB's container, after its first start has made organisation, bucket and the operator's token.
# Dashboards ask in InfluxQL, which knows databases: this maps the bucket to one of its name, and lets Grafana read it.
set -euo pipefail
bucket=$DOCKER_INFLUXDB_INIT_BUCKET_ID org=$DOCKER_INFLUXDB_INIT_ORG

influx v1 dbrp create --org "$org" --bucket-id "$bucket" --db "$DOCKER_INFLUXDB_INIT_BUCKET" --rp autogen --default
influx v1 auth create --org "$org" --username grafana --password "$(cat /run/secrets/influxdb_grafana)" --read-bucket "$bucket"
