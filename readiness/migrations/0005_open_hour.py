"""The hour that runs moves into the state; states are updated in place, and two indexes that others begin with go."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("readiness", "0004_trackers")]

    operations = [
        migrations.AddField(
            model_name="probestate", name="open_hour", field=models.JSONField(editable=False, null=True)
        ),
        migrations.AlterField(
            model_name="proberollup",
            name="environment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="probe_rollups",
                to="readiness.environment",
            ),
        ),
        migrations.AlterField(
            model_name="probestate",
            name="environment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="probe_states",
                to="readiness.environment",
            ),
        ),
        # Every result updates its state: half-empty pages keep the new version beside the old one, off the indexes.
        migrations.RunSQL(
            "ALTER TABLE readiness_probestate SET (fillfactor = 50)",
            "ALTER TABLE readiness_probestate RESET (fillfactor)",
        ),
    ]
