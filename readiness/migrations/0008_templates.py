"""Checklist templates of one's own. A published version is frozen: the database refuses to change or delete it."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


# An account may go; its name stays beside the reference that the database then empties.
FREEZE = """
CREATE FUNCTION readiness_keep_published_template() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state = 'published' AND (
    TG_OP = 'DELETE' OR to_jsonb(NEW) - 'published_by_id' IS DISTINCT FROM to_jsonb(OLD) - 'published_by_id'
    OR NEW.published_by_id IS NOT NULL AND NEW.published_by_id IS DISTINCT FROM OLD.published_by_id
  ) THEN
    RAISE EXCEPTION 'version % of template % is published and frozen', OLD.number, OLD.template_id
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER readiness_published_template_is_frozen BEFORE UPDATE OR DELETE ON readiness_templateversion
  FOR EACH ROW EXECUTE FUNCTION readiness_keep_published_template();
"""
THAW = """
DROP TRIGGER readiness_published_template_is_frozen ON readiness_templateversion;
DROP FUNCTION readiness_keep_published_template();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('readiness', '0007_contract'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ChecklistTemplate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=60, unique=True, validators=[django.core.validators.RegexValidator('^[a-z0-9]+(-[a-z0-9]+)*$', 'Use lower-case letters, digits and single dashes.')])),
                ('name_en', models.CharField(max_length=200, verbose_name='name')),
                ('name_de', models.CharField(max_length=200, verbose_name='name in German')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['name_en', 'key'],
            },
        ),
        migrations.CreateModel(
            name='TemplateVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('draft', 'draft'), ('published', 'published')], default='draft', max_length=9)),
                ('content', models.TextField()),
                ('revision', models.PositiveIntegerField(default=1)),
                ('changed_at', models.DateTimeField()),
                ('changed_by_name', models.CharField(max_length=150)),
                ('published_at', models.DateTimeField(blank=True, null=True)),
                ('published_by_name', models.CharField(blank=True, max_length=150)),
                ('published_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('template', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='versions', to='readiness.checklisttemplate')),
            ],
            options={
                'ordering': ['template_id', '-number'],
            },
        ),
        migrations.AddField(
            model_name='environment',
            name='template_version',
            field=models.ForeignKey(blank=True, editable=False, help_text='Which checklist it follows; the shipped one when empty.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='environments', to='readiness.templateversion'),
        ),
        migrations.AddConstraint(
            model_name='templateversion',
            constraint=models.UniqueConstraint(fields=('template', 'number'), name='template_version_once'),
        ),
        migrations.AddConstraint(
            model_name='templateversion',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'draft')), fields=('template',), name='template_has_one_draft'),
        ),
        migrations.AddConstraint(
            model_name='templateversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('published_at__isnull', True), ('state', 'draft')), models.Q(('published_at__isnull', False), ('state', 'published')), _connector='OR'), name='template_published_at_a_time'),
        ),
        migrations.RunSQL(FREEZE, THAW),
    ]
