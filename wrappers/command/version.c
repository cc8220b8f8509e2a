/* `heapsake version` */
#include "command.h"

#include <json-c/json.h>
#include <unistd.h>

#include "layout.h"

int version_main(int argc, char **argv)
{
	bool is_json;
	int status;

	if (!usage_read_json_option(argc, argv, &is_json, &status))
		return status;
	if (optind != argc)
		return usage_refuse(argv[0], "'%s' is not expected", argv[optind]);
	if (!is_json) {
		printf("heapsake %s, pool format %u\n", VERSION, LAYOUT_VERSION);
		return STATUS_OK;
	}
	struct json_object *object = json_object_new_object();
	json_object_object_add(object, "schema", json_object_new_int(1));
	text_add_json(object, "version", VERSION);
	json_object_object_add(object, "pool_format", json_object_new_int(LAYOUT_VERSION));
	text_print_json(object);
	return STATUS_OK;
}
