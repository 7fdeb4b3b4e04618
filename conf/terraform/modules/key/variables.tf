variable "name" {
  description = "Name of the deployment; the alias is alias/NAME."
  type        = string
}
