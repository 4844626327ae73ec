"""Assets that hand a business date from one DAG to the next: its partition key is the date."""

from airflow.sdk import Asset

DELIVERED = Asset(name="paylake_delivered", uri="paylake://lake/bronze")
BUILT = Asset(name="paylake_built", uri="paylake://lake/work")
RELEASED = Asset(name="paylake_released", uri="paylake://lake/gold")
FILED = Asset(name="paylake_filed", uri="paylake://reports")
